import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { debianTool } from '../tools/debian.js';
import { freePort } from './free-port.js';

const START_ATTEMPTS = 200;

/** Debian's redis-server on a loopback port, without persistence. */
export class RedisServer {
  private constructor(
    readonly port: number,
    private readonly folder: string,
    private process: ChildProcess,
    private readonly args: readonly string[],
    private readonly password: string | undefined,
  ) {}

  /** @param settings as in redis.conf, by name: `{ maxmemory: '2mb' }` */
  static async start(settings: Readonly<Record<string, string>> = {}, port?: number): Promise<RedisServer> {
    const program = debianTool('redis-server');
    if (program === undefined) throw new Error('redis-server is required');
    const at = port ?? (await freePort());
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-redis-'));
    const own = { save: '', port: String(at), bind: '127.0.0.1', dir: folder, daemonize: 'no', ...settings };
    const args = Object.entries(own).flatMap(([name, value]) => [`--${name}`, value]);
    const server = new RedisServer(
      at,
      folder,
      spawn(program, args, { stdio: 'ignore' }),
      [program, ...args],
      settings['requirepass'],
    );
    await server.answers();
    return server;
  }

  /** One Sentinel, which is enough for a quorum here. It watches a primary on loopback. */
  static async sentinel(name: string, primaryPort: number, password?: string): Promise<RedisServer> {
    const program = debianTool('redis-server');
    if (program === undefined) throw new Error('redis-server is required');
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-sentinel-'));
    const file = join(folder, 'sentinel.conf');
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor ${name} 127.0.0.1 ${primaryPort} 1`,
      `sentinel down-after-milliseconds ${name} 1000`,
      `sentinel failover-timeout ${name} 5000`,
      ...(password === undefined ? [] : [`requirepass ${password}`]),
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    const args = [file, '--sentinel'];
    const server = new RedisServer(
      port,
      folder,
      spawn(program, args, { stdio: 'ignore' }),
      [program, ...args],
      password,
    );
    await server.answers();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Asks the server through another client. */
  async ask<T>(question: (client: Redis) => Promise<T>, password = this.password): Promise<T> {
    const client = this.client(password);
    try {
      return await question(client);
    } finally {
      client.disconnect();
    }
  }

  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  /** Stops answering until it ends, with its connections open. */
  hang(): void {
    this.process.kill('SIGSTOP');
  }

  /** Starts the same server again, without data. */
  async restart(): Promise<void> {
    const [program = '', ...args] = this.args;
    this.process = spawn(program, args, { stdio: 'ignore' });
    await this.answers();
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    this.process.kill(signal);
    this.process.kill('SIGCONT');
    await ended;
  }

  private async answers(): Promise<void> {
    for (let attempt = 0; attempt < START_ATTEMPTS && this.process.exitCode === null; attempt += 1) {
      const up = await this.ask((client) => client.ping()).then(
        () => true,
        () => false,
      );
      if (up) return;
      await sleep(25);
    }
    throw new Error('redis-server did not start');
  }

  private client(password: string | undefined): Redis {
    const { port } = this;
    const client = new Redis({
      ...{ port, host: '127.0.0.1', maxRetriesPerRequest: 0, retryStrategy: () => null },
      ...(password !== undefined && { password }),
    });
    client.on('error', () => undefined);
    return client;
  }
}
