import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../fakes/free-port.js';

/** A third-party registry that a test starts. */
export interface RegistryKind {
  /** Name and version, as in docs/registries.md. */
  readonly name: string;
  /** Whether the registry has a database, so that a request takes a tenth of a second or more. */
  readonly isSlow?: boolean;
  start(): Promise<StartedRegistry>;
}

/**
 * The account of every registry with logins. If a registry requires an owner for repositories, they are below this
 * account.
 */
export const OWNER = 'mirror';

export interface StartedRegistry {
  readonly host: string;
  /** The login, if pushes need one. */
  readonly login?: { readonly username: string; readonly password: string };
  stop(): Promise<void>;
}

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const START_ATTEMPTS = 2_400;

/**
 * The processes of one registry, and a folder that is deleted with them.
 *
 * @throws Error with the end of their output when one of them does not start
 */
export class RegistryProcess {
  private readonly children: ChildProcess[] = [];
  private readonly stops: (() => Promise<void>)[] = [];

  private constructor(
    readonly folder: string,
    readonly port: number,
  ) {}

  /** Starts the command of `prepare` and waits for a response from `/v2/`. */
  static async start(
    prepare: (process: RegistryProcess) => Promise<Command>,
    login?: StartedRegistry['login'],
  ): Promise<StartedRegistry> {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-matrix-'));
    const registry = new RegistryProcess(folder, await freePort());
    try {
      const child = registry.spawn(await prepare(registry));
      const host = `127.0.0.1:${registry.port}`;
      await registry.until(child, `http://${host}/v2/`, [200, 401]);
      return { host, ...(login !== undefined && { login }), stop: () => registry.stop() };
    } catch (error) {
      const log = await readFile(registry.log, 'utf8').catch(() => '');
      await registry.stop();
      throw new Error(`${error instanceof Error ? error.message : String(error)}: ${log.slice(-4000)}`, {
        cause: error,
      });
    }
  }

  /** The output of the processes. */
  get log(): string {
    return join(this.folder, 'log');
  }

  spawn({ command, args, env = {} }: Command): ChildProcess {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', HOME: this.folder, OTEL_TRACES_EXPORTER: 'none', ...env },
    });
    const log = createWriteStream(this.log, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.children.push(child);
    return child;
  }

  /** Steps before the folder is deleted; the last one added runs first. */
  atStop(stop: () => Promise<void>): void {
    this.stops.unshift(stop);
  }

  async until(child: ChildProcess, url: string, statuses: readonly number[]): Promise<void> {
    for (let attempt = 0; attempt < START_ATTEMPTS && child.exitCode === null; attempt += 1) {
      const status = await fetch(url).then(
        (response) => response.status,
        () => 0,
      );
      if (statuses.includes(status)) return;
      await sleep(50);
    }
    throw new Error(`${child.spawnfile} did not start`);
  }

  private async stop(): Promise<void> {
    await Promise.all(this.children.map(end));
    for (const stop of this.stops) await stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}
