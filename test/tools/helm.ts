import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import { goTool } from './tool.js';
import type { GoToolOptions } from './tool.js';
import { GO_PROGRAMS } from './go-programs.js';

export const CHART = fileURLToPath(new URL('../../extension-service/chart', import.meta.url));

/** The two major versions in use; 4 is the current one. */
export type HelmMajor = 3 | 4;

/** Build flags of a Helm release. Without them, Helm 3 assumes Kubernetes 1.20 when it has no cluster to ask. */
const PROGRAMS: Readonly<Record<HelmMajor, GoToolOptions>> = {
  3: {
    module: 'helm',
    package: 'helm.sh/helm/v3/cmd/helm',
    variables: {
      'helm.sh/helm/v3/internal/version.version': 'v3.22.0',
      'helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor': '1',
      'helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor': '36',
      'helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor': '1',
      'helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor': '36',
    },
  },
  4: {
    module: 'helm-4',
    package: 'helm.sh/helm/v4/cmd/helm',
    variables: { 'helm.sh/helm/v4/internal/version.version': 'v4.3.2' },
  },
};

export interface HelmResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [key: string]: unknown;
}

export interface RenderOptions {
  /** Content of a values file: an object, or YAML text where the spelling matters. */
  readonly values?: object | string;
  /** Additional arguments, such as `--set`. */
  readonly args?: readonly string[];
  /** @default image-swapper */
  readonly release?: string;
  /** @default image-swapper */
  readonly namespace?: string;
  /** @default the chart of this repository */
  readonly chart?: string;
}

export async function helmProgram(major: HelmMajor = 3): Promise<string> {
  return goTool(PROGRAMS[major]);
}

/** Helm, built from its Go module, with separate repository and registry settings. */
export class Helm {
  private constructor(
    private readonly program: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async create(env: Readonly<Record<string, string>> = {}, major: HelmMajor = 3): Promise<Helm> {
    const program = await helmProgram(major);
    const home = mkdtempSync(join(tmpdir(), 'image-swapper-helm-'));
    const folders = { HELM_CACHE_HOME: 'cache', HELM_CONFIG_HOME: 'config', HELM_DATA_HOME: 'data', HOME: '' };
    const paths = Object.fromEntries(Object.entries(folders).map(([name, folder]) => [name, join(home, folder)]));
    return new Helm(program, { PATH: process.env['PATH'] ?? '', ...paths, ...env });
  }

  /** Runs one command with `input` as its standard input. */
  async run(args: readonly string[], input = ''): Promise<HelmResult> {
    const child = spawn(this.program, args, { env: { ...GO_PROGRAMS, ...this.env }, stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, stdout, stderr }));
    });
  }

  /** Runs one command and returns its output. @throws Error with the output when the command fails */
  async ok(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code !== 0) throw new Error(`helm ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** The result of `helm template` for the chart. */
  async template(options: RenderOptions): Promise<HelmResult> {
    return this.run(['template', ...installArgs(options)], input(options));
  }

  /** The rendered objects; hooks are included only on request. @throws Error when rendering fails */
  async objects(options: RenderOptions): Promise<KubernetesObject[]> {
    const { code, stdout, stderr } = await this.template(options);
    if (code !== 0) throw new Error(stderr);
    return parseAllDocuments(stdout).flatMap((document) => {
      if (document.errors.length > 0) throw new Error(`${document.errors.join('; ')} in ${String(document)}`);
      const object = document.toJS() as KubernetesObject | null;
      return object === null ? [] : [object];
    });
  }
}

/** Common arguments of install, upgrade and template: release, chart, namespace, and values from standard input. */
export function installArgs({
  release = 'image-swapper',
  namespace = 'image-swapper',
  ...options
}: RenderOptions): string[] {
  const values = options.values === undefined ? [] : ['-f', '-'];
  return [release, options.chart ?? CHART, '-n', namespace, ...values, ...(options.args ?? [])];
}

export function input({ values }: RenderOptions): string {
  return typeof values === 'string' ? values : values === undefined ? '' : stringify(values);
}

/** The object of this kind; `name` selects one of several. */
export function objectOf(objects: readonly KubernetesObject[], kind: string, name?: string): KubernetesObject {
  const found = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  const [object] = found;
  if (object === undefined || found.length > 1) throw new Error(`${found.length} objects ${kind} ${name ?? ''}`);
  return object;
}
