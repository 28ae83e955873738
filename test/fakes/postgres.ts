import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { debianTool } from '../tools/debian.js';
import { run } from '../tools/tool.js';

const START_ATTEMPTS = 1_200;
const VERSIONS = '/usr/lib/postgresql';
const USER = 'postgres';

/** Debian's PostgreSQL on a separate socket, with the user `postgres` without a password. */
export class Postgres {
  private process: ChildProcess;

  private constructor(
    /** Folder of the socket, which clients use as `host`. */
    readonly folder: string,
    private readonly command: readonly string[],
  ) {
    this.process = launch(command);
  }

  /**
   * Starts with a copy of the data that `stop` saved, or with an empty database. @param settings as in postgresql.conf
   */
  static async start(saved?: string, settings: Readonly<Record<string, string>> = {}): Promise<Postgres> {
    if (debianTool('psql', 'postgresql-15') === undefined) throw new Error('PostgreSQL is required');
    const [version = ''] = await readdir(VERSIONS);
    const program = (name: string): string => join(VERSIONS, version, 'bin', name);
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-postgres-'));
    const data = join(folder, 'data');
    if (saved !== undefined) await cp(saved, data, { recursive: true });
    const own = ownUser();
    // The server's user must own the data and have access to the parent folder.
    if (own.length > 0) await run('chown', ['-R', USER, folder]);
    if (saved === undefined) {
      await run('env', [...own, program('initdb'), '-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-sync']);
    }
    // The server needs no fsync because the data lives only as long as the test.
    const more = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const [command = '', ...args] = [...own, program('postgres'), '-D', data, '-k', folder, '-h', '', '-F', ...more];
    const postgres = new Postgres(folder, [command, ...args]);
    await postgres.answers();
    return postgres;
  }

  /** Cuts all connections at once. */
  async kill(): Promise<void> {
    this.process.kill('SIGQUIT');
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
  }

  /** Starts the server again after `kill`, with the same data. */
  async restart(): Promise<void> {
    this.process = launch(this.command);
    await this.answers();
  }

  private async answers(): Promise<void> {
    for (let attempt = 0; attempt < START_ATTEMPTS && this.process.exitCode === null; attempt += 1) {
      const up = await this.query('SELECT 1').then(
        () => true,
        () => false,
      );
      if (up) return;
      await sleep(50);
    }
    await this.stop();
    throw new Error('PostgreSQL did not start');
  }

  /** Runs one statement in the database `postgres`. */
  async query(sql: string): Promise<string> {
    return run('psql', ['-h', this.folder, '-U', USER, '-d', 'postgres', '-c', sql]);
  }

  /** Stops the server, copies its data to `saveAt` if given, and removes its folder. */
  async stop(saveAt?: string): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      // SIGINT is a fast shutdown, which cuts connections.
      this.process.kill('SIGINT');
      await once(this.process, 'exit');
    }
    if (saveAt !== undefined) await cp(join(this.folder, 'data'), saveAt, { recursive: true });
    await rm(this.folder, { recursive: true, force: true });
  }
}

function launch([command = '', ...args]: readonly string[]): ChildProcess {
  return spawn(command, args, { stdio: 'ignore' });
}

/** The server refuses to run as root. This prefix runs a command as Debian's own user. */
function ownUser(): readonly string[] {
  return process.getuid?.() === 0 ? ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'] : [];
}
