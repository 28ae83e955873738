import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { goTool } from '../tools/tool.js';
import { freePort } from './free-port.js';
import type { Surroundings } from './surroundings.js';
import { GO_PROGRAMS } from '../tools/go-programs.js';

/** A user with its line in the `htpasswd` file. */
export const TEST_LOGIN = {
  username: 'test-user',
  password: 'test-word',
  htpasswd: 'test-user:$2b$05$abcdefghijklmnopqrstuuGaA8bMRs4/g93hDpde44Nko4QzOZ1Oe\n',
};

export interface RealRegistryOptions {
  /** The `htpasswd` line of the only user with basic authentication. The hash is bcrypt, as htpasswd writes it. */
  readonly htpasswd?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Local address to listen on. @default 127.0.0.1 */
  readonly address?: string;
  /** Another registry whose data this one shares. It keeps running. */
  readonly sameAs?: RealRegistry;
  /** The environment in which the registry runs, at `address`. */
  readonly surroundings?: Surroundings;
  /** Another version of the registry program. @default distribution 3 */
  readonly program?: string;
  /** Whether the registry caches in memory which blobs it has. */
  readonly cachesBlobs?: boolean;
}

/** One line of the registry's own access log. */
export interface RealAccess {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

export async function registryProgram(): Promise<string> {
  return goTool({ module: 'registry', package: 'github.com/distribution/distribution/v3/cmd/registry' });
}

/** The distribution project's registry as a process, on loopback by default, with its data in a separate folder. */
export class RealRegistry {
  private constructor(
    private readonly address: string,
    readonly port: number,
    /**
     * The address at which this process reaches the registry: `host`, unless the registry runs in other surroundings.
     */
    readonly here: string,
    private readonly process: ChildProcess,
    private readonly folder: string,
    private readonly lines: string[],
  ) {}

  get host(): string {
    return `${this.address}:${this.port}`;
  }

  static async start(options: RealRegistryOptions = {}): Promise<RealRegistry> {
    const program = options.program ?? (await registryProgram());
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-registry-'));
    const port = await freePort();
    const { htpasswd, tls, address = '127.0.0.1', sameAs, surroundings } = options;
    if (htpasswd !== undefined) await writeFile(join(folder, 'htpasswd'), htpasswd);
    if (tls !== undefined) {
      await Promise.all([writeFile(join(folder, 'tls.crt'), tls.cert), writeFile(join(folder, 'tls.key'), tls.key)]);
    }
    const config = {
      version: 0.1,
      log: { accesslog: { disabled: false }, level: 'warn' },
      storage: {
        filesystem: { rootdirectory: join(sameAs?.folder ?? folder, 'data') },
        delete: { enabled: true },
        ...(options.cachesBlobs === true && { cache: { blobdescriptor: 'inmemory' } }),
      },
      http: {
        addr: `${address}:${port}`,
        secret: 'test',
        ...(tls !== undefined && { tls: { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') } }),
      },
      ...(htpasswd !== undefined && { auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } } }),
    };
    await writeFile(join(folder, 'config.yml'), stringify(config));
    const args = ['serve', join(folder, 'config.yml')];
    const line = surroundings?.within(program, args) ?? { command: program, args };
    await surroundings?.forward(port, address);
    const child = spawn(line.command, line.args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', OTEL_TRACES_EXPORTER: 'none', ...GO_PROGRAMS },
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      // A chunk from the pipe may end in the middle of a line.
      let begun = '';
      stream.on('data', (chunk: Buffer) => {
        const pieces = `${begun}${chunk.toString()}`.split('\n');
        begun = pieces.pop() ?? '';
        lines.push(...pieces);
      });
    }
    const here = `${surroundings === undefined ? address : '127.0.0.1'}:${port}`;
    const registry = new RealRegistry(address, port, here, child, folder, lines);
    await registry.waitUntilUp(tls !== undefined);
    return registry;
  }

  /**
   * The requests so far, without the probes at startup.
   *
   * @param client the start of the client's User-Agent, such as `containerd/`
   */
  accessLog(client = ''): RealAccess[] {
    return this.lines.flatMap((line) => {
      const match = /"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP\/[12]\.[01]" (\d{3})(?: \d+ "[^"]*" "([^"]*)")?/.exec(
        line,
      );
      if (match?.[1] === undefined || match[2] === undefined || match[2] === '/') return [];
      if (!(match[4] ?? '').startsWith(client)) return [];
      return [{ method: match[1], path: match[2], status: Number(match[3]) }];
    });
  }

  /** Runs the registry's garbage collection while the registry runs, although its documentation forbids that. */
  async collectGarbage(...flags: readonly string[]): Promise<void> {
    const args = ['garbage-collect', ...flags, join(this.folder, 'config.yml')];
    await promisify(execFile)(this.process.spawnfile, args, { env: { PATH: process.env['PATH'] ?? '' } });
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill();
      await once(this.process, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private async waitUntilUp(tls: boolean): Promise<void> {
    for (let i = 0; i < 200; i += 1) {
      if (this.process.exitCode !== null) break;
      // `/` needs no credentials; with TLS, plain HTTP gets a 400, which also shows that the registry listens.
      const up = await fetch(`http://${this.here}/`).then(
        ({ status }) => status === (tls ? 400 : 200),
        () => false,
      );
      if (up) return;
      await sleep(50);
    }
    await this.stop();
    throw new Error(`the registry did not start: ${this.lines.join('\n')}`);
  }
}
