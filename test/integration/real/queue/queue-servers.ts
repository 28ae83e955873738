import type { NetConnectOpts } from 'node:net';
import { join } from 'node:path';
import { Queue, Worker, createPostgresBackend } from 'bullmq';
import type { BackendFactory, WorkerOptions } from 'bullmq';
import { Postgres } from '../../../fakes/postgres.js';
import { RedisServer } from '../../../fakes/redis.js';

/** One server of a kind for all cases of a file. Each case has its own prefix. */
export interface QueueServer {
  readonly url: string;
  /** For `net.connect`. */
  readonly address: NetConnectOpts;
  /** The URL at a port on loopback that leads to the server. */
  urlAt(port: number): string;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Reads the queue of copies through another client. */
  read<T>(prefix: string, look: (queue: Queue) => Promise<T>): Promise<T>;
  /** Deletes every job of the queue, as a server without persistence does when it restarts. */
  empty(prefix: string): Promise<unknown>;
  /** A client that takes jobs only on request, and never renews their leases. */
  worker(prefix: string, options: Omit<WorkerOptions, 'connection'>): Pick<Worker, 'getNextJob' | 'close'>;
}

export const SERVERS = {
  redis: async (): Promise<QueueServer> => {
    const server = await RedisServer.start();
    const { url } = server;
    return {
      url,
      address: { host: '127.0.0.1', port: server.port },
      urlAt: (port) => `redis://127.0.0.1:${port}`,
      kill: () => server.kill(),
      restart: () => server.restart(),
      stop: () => server.stop(),
      read: (prefix, look) => readQueue(new Queue('copies', { connection: { url }, prefix }), look),
      empty: () => server.ask((client) => client.flushall()),
      worker: (prefix, options) =>
        new Worker('copies', null, { ...options, connection: { url, maxRetriesPerRequest: null }, prefix }),
    };
  },
  postgres: async (): Promise<QueueServer> => {
    const server = await Postgres.start();
    const { folder } = server;
    const at = (schema: string): object => ({
      ...{ host: folder, user: 'postgres', database: 'postgres' },
      ...{ schema, migrate: true },
    });
    const backend = createPostgresBackend as unknown as BackendFactory;
    return {
      url: `postgres://postgres@socket/postgres?host=${folder}`,
      address: { path: join(folder, '.s.PGSQL.5432') },
      urlAt: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
      kill: () => server.kill(),
      restart: () => server.restart(),
      stop: () => server.stop(),
      read: (prefix, look) =>
        readQueue(new Queue('copies', { connection: at(prefix) }, backend) as unknown as Queue, look),
      empty: (prefix) => server.query(`TRUNCATE ${prefix}.job CASCADE`),
      worker: (prefix, options) => new Worker('copies', null, { ...options, connection: at(prefix) }, backend),
    };
  },
} as const;

async function readQueue<T>(queue: Queue, look: (queue: Queue) => Promise<T>): Promise<T> {
  queue.on('error', () => undefined);
  try {
    return await look(queue);
  } finally {
    await queue.close();
  }
}
