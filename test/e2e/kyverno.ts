import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { goTool } from '../tools/tool.js';
import { GO_PROGRAMS } from '../tools/go-programs.js';

/** The parts of a Pod that these tests read. */
export interface Pod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly object[];
  };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly ephemeralContainers?: readonly Container[];
    readonly volumes?: readonly Volume[];
    readonly [key: string]: unknown;
  };
}
export interface Volume {
  readonly name: string;
  readonly image?: { readonly reference?: string; readonly pullPolicy?: string };
  readonly [key: string]: unknown;
}
export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly imagePullPolicy?: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
}

export interface ApplyOptions {
  readonly policy: object;
  readonly pod: Pod;
  /** The old object of an UPDATE is the Pod itself. @default CREATE */
  readonly operation?: 'CREATE' | 'UPDATE';
  /** Values of context variables, by JMESPath. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** CA certificates in Kyverno's trust store, PEM. */
  readonly trusted?: string;
  /** The token of Kyverno's ServiceAccount, which Kyverno sends to services that policies call. */
  readonly token?: string;
}

export interface ApplyResult {
  /** The Pod after the policy; absent if the engine did not return it. */
  readonly pod: Pod | undefined;
  /** The engine's message when the policy could not be evaluated. */
  readonly error: string | undefined;
}

/** The real Kyverno engine as a command. It really calls the services of the policies. */
export class KyvernoCli {
  private readonly command: string;

  private constructor(command: string) {
    this.command = command;
  }

  static async build(): Promise<KyvernoCli> {
    return new KyvernoCli(
      await goTool({ module: 'kyverno', package: 'github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno' }),
    );
  }

  async apply({ policy, pod, operation = 'CREATE', values = {}, trusted, token }: ApplyOptions): Promise<ApplyResult> {
    return withFolder(async (folder) => {
      const files = {
        policy,
        pod,
        values: {
          apiVersion: 'cli.kyverno.io/v1alpha1',
          kind: 'Values',
          metadata: { name: 'values' },
          globalValues: { 'request.operation': operation, ...values },
        },
      };
      for (const [name, object] of Object.entries(files))
        await writeFile(join(folder, `${name}.yaml`), stringify(object));
      const args = ['apply', 'policy.yaml', '-r', 'pod.yaml', '-f', 'values.yaml', '-o', 'out.yaml', '--remove-color'];
      const env: Record<string, string> = {};
      if (trusted !== undefined) {
        await writeFile(join(folder, 'trusted.crt'), trusted);
        env['SSL_CERT_FILE'] = join(folder, 'trusted.crt');
      }
      if (token !== undefined) {
        await writeFile(join(folder, 'token'), token);
        env['KYVERNO_SCOPED_TOKEN_PATH'] = join(folder, 'token');
      }
      const { code, output } = await this.run(args, folder, env);
      const [, applied] = /Applying (\d+) policy rule/.exec(output) ?? [];
      if (applied === undefined || applied === '0') throw new Error(`Kyverno did not take the policy: ${output}`);
      const [, error] = /^error: (.*?)^pass: /ms.exec(output) ?? [];
      if ((code === 0) !== (error === undefined)) throw new Error(`Kyverno ended with ${code}: ${output}`);
      return { pod: await readPod(join(folder, 'out.yaml')), error: error?.trim() };
    });
  }

  /** Evaluates a JMESPath expression as Kyverno does. */
  async query(expression: string, input: unknown = {}): Promise<unknown> {
    return withFolder(async (folder) => {
      await writeFile(join(folder, 'input.json'), JSON.stringify(input));
      await writeFile(join(folder, 'query'), expression);
      const { code, output } = await this.run(['jp', 'query', '-c', '-i', 'input.json', '-q', 'query'], folder, {});
      if (code !== 0) throw new Error(output);
      return JSON.parse(
        output
          .split('\n')
          .filter((line) => !line.startsWith('#'))
          .join('\n'),
      ) as unknown;
    });
  }

  private async run(
    args: readonly string[],
    cwd: string,
    env: Readonly<Record<string, string>>,
  ): Promise<{ readonly code: number | null; readonly output: string }> {
    return new Promise((resolve, reject) => {
      // By default, Kyverno does not let policies call loopback addresses.
      const child = spawn(this.command, args, {
        cwd,
        env: { PATH: process.env['PATH'], HOME: cwd, FLAG_HTTP_BLOCKLIST: '', ...GO_PROGRAMS, ...env },
      });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, output }));
    });
  }
}

/**
 * Returns the decision of an admission controller, which refuses the Pod if the policy failed and its failure policy is
 * `Fail`.
 */
export function admitted(policy: { readonly spec: object }, result: ApplyResult): 'refused' | 'unchanged' | Pod {
  if (result.error === undefined) {
    if (result.pod === undefined) throw new Error('Kyverno gave neither a Pod nor an error');
    return result.pod;
  }
  const { spec } = policy as { spec: { failurePolicy?: string; webhookConfiguration?: { failurePolicy?: string } } };
  const failurePolicy = spec.failurePolicy ?? spec.webhookConfiguration?.failurePolicy ?? 'Fail';
  return failurePolicy === 'Ignore' ? 'unchanged' : 'refused';
}

async function readPod(path: string): Promise<Pod | undefined> {
  const [document] = parseAllDocuments(await readFile(path, 'utf8'));
  const object = document?.toJS() as Partial<Pod> | null | undefined;
  return object?.kind === 'Pod' ? (object as Pod) : undefined;
}

async function withFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-kyverno-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
