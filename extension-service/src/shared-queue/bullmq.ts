/**
 * The parts of BullMQ and its drivers that the service uses. Loaded only with a queue server, see programs/programs.ts.
 */
export { Queue, QueueEvents, WaitingError, Worker, createPostgresBackend, createRedisBackend } from 'bullmq';
export { Redis } from 'ioredis';
export { Client as PostgresClient } from 'pg';
