import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUNDLE } from '../../fakes/service.js';
import type { ControlPlane } from './control-plane.js';
import { expectOk } from './kube-api.js';
import { tokenOf } from './access.js';
import { until } from '../../fakes/until.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

interface NamedRef {
  readonly name: string;
  readonly key?: string;
  readonly optional?: boolean;
}
export interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: {
      readonly fieldRef?: { readonly fieldPath: string };
      readonly secretKeyRef?: NamedRef & { readonly key: string };
    };
  }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
export interface PodTemplateSpec {
  readonly serviceAccountName: string;
  readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number };
  readonly containers: readonly [Container];
  readonly volumes?: readonly {
    readonly name: string;
    readonly configMap?: { readonly name: string };
    readonly secret?: { readonly secretName: string };
  }[];
}

/**
 * Runs a Pod's container from the API server's object as a process of this machine. It acts like the kubelet, as far as
 * possible without containers. Its files are those of its mounted ConfigMaps and Secrets, replaced as a whole when
 * these change. Its environment, arguments and user are the Pod's; `:PORT` in its arguments is that port of a separate
 * address. It reaches the API server with a kubeconfig that contains a token of its ServiceAccount, since the files of
 * a Pod's token have a fixed path.
 */
export class PodProcess {
  #output = '';
  private constructor(
    readonly address: string,
    private readonly process: ChildProcess,
    private readonly container: Container,
    private readonly mounts: Mounts,
    /** Files of this process, deleted with it. */
    readonly folder: string,
    private readonly exited: Promise<number | null>,
  ) {}

  static async start(
    plane: ControlPlane,
    namespace: string,
    spec: PodTemplateSpec,
    address = loopbackAddress(),
    /** Variables of the node and the image, such as CA certificates that they trust. */
    around: Readonly<Record<string, string>> = {},
  ): Promise<PodProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-pod-'));
    await chmod(folder, 0o755);
    const [container] = spec.containers;
    const mounts = new Mounts(plane, namespace, spec, join(folder, 'root'));
    await mounts.refresh();
    const token = await tokenOf(plane.api, namespace, spec.serviceAccountName);
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, plane.api.kubeconfig(token, namespace));
    const args = container.args.map((argument) =>
      mounts.inRoot(argument.replace(/^(--[a-z-]+-address=):(\d+)$/, `$1${address}:$2`)),
    );
    const env = Object.entries(await environment(plane, namespace, container));
    const child = spawn(process.execPath, [...compileCacheFlags(), BUNDLE, ...args], {
      cwd: folder,
      env: {
        ...around,
        ...Object.fromEntries(env.map(([name, value]) => [name, mounts.inRoot(value)])),
        KUBECONFIG: kubeconfig,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(process.getuid?.() === 0 && { uid: spec.securityContext.runAsUser, gid: spec.securityContext.runAsGroup }),
    });
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    const pod = new PodProcess(address, child, container, mounts, folder, exited);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (pod.#output = `${pod.#output}${chunk.toString()}`.slice(-60_000)));
    }
    return pod;
  }

  get output(): string {
    return this.#output;
  }

  /** Returns the probe's status as the kubelet sees it, or 0 if nothing responds. */
  async probe(which: 'startupProbe' | 'livenessProbe' | 'readinessProbe'): Promise<number> {
    const { path, port } = this.container[which]?.httpGet ?? { path: '', port: '' };
    return fetch(`http://${this.address}:${this.port(port)}${path}`).then(
      ({ status }) => status,
      () => 0,
    );
  }

  /** Returns the number of a named port. @throws Error if the container has none with that name */
  port(name: string): number {
    const found = this.container.ports?.find((port) => port.name === name);
    if (found === undefined) throw new Error(`the container has no port ${name}`);
    return found.containerPort;
  }

  async waitUntilReady(): Promise<void> {
    await Promise.race([
      until('the container is ready', async () => (await this.probe('readinessProbe')) === 200),
      this.exited.then((code) => {
        throw new Error(`the container ended with ${code}`);
      }),
    ]).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${this.#output}`, { cause: error });
    });
  }

  /** Updates the mounted files from the API server's objects, which the kubelet does within a minute. */
  async refresh(): Promise<void> {
    await this.mounts.refresh();
  }

  /** Returns the exit code once the process ends by itself. */
  async end(): Promise<number | null> {
    const code = await this.exited;
    await rm(this.folder, { recursive: true, force: true });
    return code;
  }

  /** Stops the process as the kubelet does. */
  async stop(): Promise<number | null> {
    this.process.kill('SIGTERM');
    return this.end();
  }
}

/** Returns an address of this machine that nothing else is likely to use. All addresses in 127.0.0.0/8 are local. */
export function loopbackAddress(): string {
  const part = (): number => 1 + Math.floor(Math.random() * 250);
  return `127.77.${part()}.${part()}`;
}

/** Returns an IPv4 address of this machine that others can also reach, or undefined if it has none. */
export function outsideAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address;
}

/** Writes the volumes of a Pod as folders like the kubelet, which replaces everything at once with a symbolic link. */
class Mounts {
  #version = 0;

  constructor(
    private readonly plane: ControlPlane,
    private readonly namespace: string,
    private readonly spec: PodTemplateSpec,
    private readonly root: string,
  ) {}

  /** Replaces the container path in an argument or variable with the path on this machine. */
  inRoot(argument: string): string {
    const paths = (this.spec.containers[0].volumeMounts ?? []).map(({ mountPath }) => mountPath);
    const mount = paths.sort((a, b) => b.length - a.length).find((path) => argument.includes(`${path}/`));
    return mount === undefined ? argument : argument.replace(mount, `${this.root}${mount}`);
  }

  async refresh(): Promise<void> {
    this.#version += 1;
    for (const { name, mountPath } of this.spec.containers[0].volumeMounts ?? []) {
      const volume = this.spec.volumes?.find((candidate) => candidate.name === name);
      const files = await this.contents(volume);
      const folder = `${this.root}${mountPath}`;
      const data = join(folder, `..version-${this.#version}`);
      await mkdir(data, { recursive: true });
      await Promise.all(Object.entries(files).map(([file, text]) => writeFile(join(data, file), text)));
      await symlink(`..version-${this.#version}`, join(folder, '..data-next'));
      await rename(join(folder, '..data-next'), join(folder, '..data'));
      for (const file of Object.keys(files)) {
        await symlink(join('..data', file), join(folder, file)).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error;
        });
      }
    }
  }

  private async contents(volume: NonNullable<PodTemplateSpec['volumes']>[number] | undefined) {
    if (volume?.configMap !== undefined) return read(this.plane, this.namespace, 'configmaps', volume.configMap.name);
    if (volume?.secret !== undefined) return read(this.plane, this.namespace, 'secrets', volume.secret.secretName);
    throw new Error(`no volume of a kind that this can mount: ${JSON.stringify(volume)}`);
  }
}

/** Returns the decoded values of a ConfigMap or Secret by key. */
async function read(
  plane: ControlPlane,
  namespace: string,
  plural: 'configmaps' | 'secrets',
  name: string,
): Promise<Record<string, string | Buffer>> {
  const reply = await plane.api.send('GET', `/api/v1/namespaces/${namespace}/${plural}/${name}`);
  const { data = {} } = expectOk(reply, `${plural} ${name}`).body as { readonly data?: Record<string, string> };
  if (plural === 'configmaps') return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
}

async function environment(
  plane: ControlPlane,
  namespace: string,
  { env = [] }: Container,
): Promise<Record<string, string>> {
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': 'image-swapper-0',
    'metadata.namespace': namespace,
  };
  const result: Record<string, string> = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent' };
  for (const { name, value, valueFrom } of env) {
    const { fieldRef, secretKeyRef } = valueFrom ?? {};
    if (value !== undefined) result[name] = value;
    else if (fieldRef !== undefined) result[name] = fields[fieldRef.fieldPath] ?? '';
    else if (secretKeyRef !== undefined) {
      const secret = await read(plane, namespace, 'secrets', secretKeyRef.name);
      const found = secret[secretKeyRef.key];
      if (found === undefined) throw new Error(`Secret ${secretKeyRef.name} has no key ${secretKeyRef.key}`);
      result[name] = String(found);
    } else throw new Error(`no value for ${name}`);
  }
  return result;
}
