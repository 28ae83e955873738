/** The parts of BullMQ and of its drivers that are used: loaded only with a queue server, see programs/programs.ts. */
export { Queue, QueueEvents, WaitingError, Worker, createPostgresBackend, createRedisBackend } from 'bullmq';
export { Redis } from 'ioredis';
export { Client as PostgresClient } from 'pg';
