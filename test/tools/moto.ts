import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AwsRecorder } from '../fakes/aws-recorder.js';
import type { RecordedCall } from '../fakes/aws-recorder.js';
import { RegistryTokens } from '../fakes/ecr-tokens.js';
import { pythonEnvironment } from './python.js';

/**
 * Installs moto and returns whether the tests that need it can run. In CI, the answer is always true, so those tests
 * fail when the installation fails. Elsewhere, a message on stderr says that they are skipped.
 */
export async function motoAvailable(what: string): Promise<boolean> {
  if (process.env['CI'] !== undefined && process.env['CI'] !== '') return true;
  try {
    await installMoto();
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`\n*** SKIPPED: ${what}: moto cannot be had: ${reason} ***\n\n`);
    return false;
  }
}

/** Returns the path of the Python interpreter in a virtual environment with moto. */
export async function installMoto(): Promise<string> {
  return join(await pythonEnvironment('moto'), 'bin', 'python');
}

/**
 * The moto server behind a recorder: an independent implementation of the APIs of ECR and STS.
 *
 * moto does not implement ECR Public, account settings, signatures or faults; EcrControl does.
 */
export class Moto {
  /** Issued registry passwords, for a proxy that checks them in front of a registry. */
  readonly tokens = new RegistryTokens();

  private constructor(
    private readonly process: ChildProcess,
    /** Address of moto itself. Requests to this address are not recorded. */
    readonly direct: string,
    private readonly recorder: AwsRecorder,
  ) {}

  static async start(): Promise<Moto> {
    const python = await installMoto();
    const child = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', PYTHONUNBUFFERED: '1' },
    });
    const output: string[] = [];
    const direct = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        output.push(line);
        const origin = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
        if (origin !== undefined) resolve(origin);
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`moto ended with ${code}: ${output.slice(-20).join('\n')}`)));
    });
    let moto: Moto | undefined;
    const recorder = await AwsRecorder.start(direct, (call) => moto?.change(call) ?? call.answer);
    moto = new Moto(child, direct, recorder);
    return moto;
  }

  get origin(): string {
    return this.recorder.origin;
  }

  /** Environment that directs an AWS SDK to moto, which accepts every key as one of account 123456789012. */
  get env(): Readonly<Record<string, string>> {
    return {
      AWS_ENDPOINT_URL_ECR: this.origin,
      AWS_ENDPOINT_URL_STS: this.origin,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_ACCESS_KEY_ID: 'AKIATESTUSER00000001',
      AWS_SECRET_ACCESS_KEY: 'secret',
    };
  }

  get log(): readonly RecordedCall[] {
    return this.recorder.log;
  }

  /** Recorded calls of one action, or all calls. */
  calls(action?: string): RecordedCall[] {
    return this.recorder.log.filter((call) => action === undefined || call.action === action);
  }

  /** Clears the state of moto and the log. */
  async reset(): Promise<void> {
    await fetch(`${this.direct}/moto-api/reset`, { method: 'POST' });
    this.recorder.log.length = 0;
  }

  async stop(): Promise<void> {
    await this.recorder.close();
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill();
    await once(this.process, 'exit');
  }

  /** Replaces moto's tokens, which are all equal and expired in 2015. */
  private change({ action, answer, accessKey, region }: RecordedCall): string {
    if (action !== 'GetAuthorizationToken') return answer;
    const { authorizationData } = JSON.parse(answer) as { authorizationData: readonly object[] };
    const token = this.tokens.issue(accessKey ?? '', region ?? '');
    return JSON.stringify({ authorizationData: authorizationData.map((data) => ({ ...data, ...token })) });
  }
}
