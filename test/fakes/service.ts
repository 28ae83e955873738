import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compileCacheFlags } from '../setup/compile-cache.js';
import { sharedCertificates } from './certificates.js';

export const BUNDLE = fileURLToPath(new URL('../../extension-service/dist/image-swapper.cjs', import.meta.url));

export interface ServiceOptions {
  /** The configuration, YAML. */
  readonly config: string;
  /** @default image-swapper.yaml */
  readonly configName?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Address of the admission port. @default 127.0.0.1:0 */
  readonly listen?: string;
  /** Plain HTTP instead of TLS. */
  readonly plain?: boolean;
  /** @default the bundle of this checkout */
  readonly bundle?: string;
  /** The program that runs it. @default this Node */
  readonly node?: string;
}

export interface ServiceExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [key: string]: unknown;
}

/** The built bundle, which runs as users run it, with its files in a separate folder. */
export class RunningService {
  private constructor(
    readonly process: ChildProcess,
    readonly folder: string,
    readonly configFile: string,
    /** Base URL of the admission port. */
    readonly url: string,
    /** Base URL of the operations port. */
    readonly operations: string,
    /** PEM of the CA certificate of the serving certificate; '' with `plain`. */
    readonly ca: string,
    readonly log: readonly LogLine[],
    readonly exited: Promise<ServiceExit>,
  ) {}

  /** @throws Error with the service's output when it exits before it listens */
  static async start(options: ServiceOptions): Promise<RunningService> {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
    const configFile = join(folder, options.configName ?? 'image-swapper.yaml');
    await writeFile(configFile, options.config);
    const tls = options.plain === true ? undefined : await sharedCertificates(['127.0.0.1', 'localhost']);
    const tlsFlags: string[] = [];
    if (tls !== undefined) {
      await Promise.all([writeFile(join(folder, 'tls.crt'), tls.cert), writeFile(join(folder, 'tls.key'), tls.key)]);
      tlsFlags.push('--tls-cert-file', join(folder, 'tls.crt'), '--tls-key-file', join(folder, 'tls.key'));
    }
    const args = ['serve', '--config', configFile, '--listen-address', options.listen ?? '127.0.0.1:0'];
    args.push('--metrics-address', '127.0.0.1:0', ...tlsFlags, ...(options.flags ?? []));
    const { PATH, HOME } = process.env;
    const child = spawn(options.node ?? process.execPath, [...compileCacheFlags(), options.bundle ?? BUNDLE, ...args], {
      env: { ...(PATH !== undefined && { PATH }), ...(HOME !== undefined && { HOME }), ...options.env },
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: folder,
    });
    const exited = new Promise<ServiceExit>((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
    const log: LogLine[] = [];
    const raw: string[] = [];
    const addresses = new Map<string, string>();
    const listening = new Promise<void>((resolve) => {
      createInterface({ input: child.stderr }).on('line', (text) => {
        const line = parse(text);
        raw.push(text);
        log.push(line);
        if (line.message !== 'listening') return;
        // A second listener with plain HTTP may start later.
        if (!addresses.has(String(line['purpose'])))
          addresses.set(String(line['purpose']), `${String(line['protocol'])}://${String(line['address'])}`);
        if (addresses.has('admission') && addresses.has('operations')) resolve();
      });
    });
    const early = await Promise.race([listening, exited]);
    if (early !== undefined) {
      await rm(folder, { recursive: true, force: true });
      throw new Error(
        `the service ended with ${early.code ?? early.signal ?? ''} instead of listening: ${raw.join('\n')}`,
      );
    }
    const [admission = '', operations = ''] = [addresses.get('admission'), addresses.get('operations')];
    return new RunningService(child, folder, configFile, admission, operations, tls?.ca ?? '', log, exited);
  }

  /** Sends SIGTERM and waits until the service has ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ServiceExit> {
    this.process.kill(signal);
    const exit = await this.exited;
    await rm(this.folder, { recursive: true, force: true });
    return exit;
  }
}

function parse(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { level: 'raw', message: text };
  }
}
