import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pushImage } from '../../bench/push-image.js';
import { get } from '../../fakes/https-client.js';
import { buildImage, OCI_INDEX } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import type { RunningService } from '../../fakes/service.js';
import { untilWith } from '../../fakes/until.js';
import type { ControlPlane } from './control-plane.js';
import { expectOk, messageOf } from './kube-api.js';
import type { ApiReply } from './kube-api.js';
import { NAMESPACE } from './pods.js';
import { serviceAccount } from './service-account.js';
import type { Rights } from './service-account.js';

export const EXCLUDED_NAMESPACE = 'monitoring';

export interface SourcesAndTarget {
  readonly source: RealRegistry;
  /** The source that requires {@link TEST_LOGIN}. */
  readonly closedSource: RealRegistry;
  readonly target: RealRegistry;
}

export async function startRegistries(): Promise<SourcesAndTarget> {
  const [source, closedSource, target] = await Promise.all([
    RealRegistry.start(),
    RealRegistry.start({ htpasswd: TEST_LOGIN.htpasswd }),
    RealRegistry.start(),
  ]);
  return { source, closedSource, target };
}

/** kube-apiserver, two sources, a target, and the service, which mirrors between them. */
export abstract class MirroredWorld {
  /** The running service, or the one that ran last. */
  service!: RunningService;
  readonly until = untilWith(() =>
    this.service.log
      .slice(-30)
      .map((line) => JSON.stringify(line))
      .join('\n'),
  );
  readonly source: RealRegistry;
  readonly closedSource: RealRegistry;
  readonly target: RealRegistry;
  private pushed = 0;
  private pods = 0;

  protected constructor(
    readonly plane: ControlPlane,
    { source, closedSource, target }: SourcesAndTarget,
  ) {
    this.source = source;
    this.closedSource = closedSource;
    this.target = target;
  }

  async stop(): Promise<void> {
    await this.service.stop('SIGKILL');
    await this.stopEngine();
    await Promise.all([this.plane, this.source, this.closedSource, this.target].map((one) => one.stop()));
  }

  /** Stops the policy engine, if there is one. */
  protected stopEngine(): Promise<void> {
    return Promise.resolve();
  }

  protected async createNamespaces(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }

  async grant(rights: Rights): Promise<void> {
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights };
    await writeFile(this.kubeconfig, await serviceAccount(this.plane.api, account));
  }

  /** The target of the service's configuration. */
  protected get targetConfig() {
    return { type: 'oci', oci: { registry: this.target.host, prefix: 'mirror', insecure: true } };
  }

  /** The sources of the service's configuration. */
  protected get sourceConfigs() {
    return [this.source, this.closedSource].map(({ host }) => ({
      type: 'oci',
      oci: { registry: host, insecure: true },
    }));
  }

  /** Puts a new image into a source. */
  async push(to = this.source): Promise<string> {
    this.pushed += 1;
    const image = buildImage({ seed: this.pushed, layerSize: 2_000, platforms: ['linux/amd64'] });
    const login = to === this.closedSource ? TEST_LOGIN : undefined;
    await pushImage(to.host, `app-${this.pushed}`, image, '1', login);
    return `${to.host}/app-${this.pushed}:1`;
  }

  /** Returns the name that a Pod gets for the image. */
  swapped(reference: string): string {
    return `${this.target.host}/mirror/${reference.replace(':', '_')}`;
  }

  async isMirrored(reference: string): Promise<boolean> {
    const path = this.swapped(reference).slice(this.target.host.length + 1, -':1'.length);
    const url = `http://${this.target.host}/v2/${path}/manifests/1`;
    return (await fetch(url, { method: 'HEAD', headers: { accept: OCI_INDEX } })).ok;
  }

  /** Returns the number of admission requests that the service has answered. */
  async calls(): Promise<number> {
    const { text } = await get(`${this.service.operations}/metrics`);
    return [...text.matchAll(/^image_swapper_resolve_requests_total\{[^}]*\} (\d+)$/gm)]
      .map(([, count]) => Number(count))
      .reduce((sum, count) => sum + count, 0);
  }

  /** Creates a Pod with a unique name. */
  async create(spec: object, metadata: object = {}, namespace = NAMESPACE, query = ''): Promise<ApiReply> {
    this.pods += 1;
    const own = { name: `pod-${this.pods}`, namespace, ...metadata };
    return this.plane.api.create({ apiVersion: 'v1', kind: 'Pod', metadata: own, spec }, query);
  }

  /** Returns the images of a Pod as the API server would store it. */
  async admitted(spec: object, metadata: object = {}, namespace = NAMESPACE): Promise<readonly string[]> {
    return imagesOf(expectOk(await this.create(spec, metadata, namespace, '?dryRun=All'), 'create the Pod'));
  }

  /** The same, and how often the service was called for it. */
  async seen(...of: Parameters<MirroredWorld['admitted']>): Promise<readonly (string | number)[]> {
    const before = await this.calls();
    const images = await this.admitted(...of);
    return [...images, (await this.calls()) - before];
  }

  /** Gives a Pod exactly these ephemeral containers, and returns their images as stored. */
  async debug(pod: string, ...images: readonly string[]): Promise<readonly string[]> {
    const path = `/api/v1/namespaces/${NAMESPACE}/pods/${pod}/ephemeralcontainers`;
    const ephemeralContainers = images.map((image, index) => ({ name: `debug-${index}`, image }));
    const type = 'application/strategic-merge-patch+json';
    const reply = await this.plane.api.send('PATCH', path, { spec: { ephemeralContainers } }, type);
    return (specOf(expectOk(reply, 'debug')).ephemeralContainers ?? []).map(({ image }) => image);
  }

  /** Puts the login of the closed source into a pull secret `login`. */
  async putLogin(): Promise<void> {
    const auth = Buffer.from(`${TEST_LOGIN.username}:${TEST_LOGIN.password}`).toString('base64');
    await this.plane.api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: NAMESPACE, name: 'login' },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [this.closedSource.host]: { auth } } }) },
    });
  }

  protected get kubeconfig(): string {
    return join(this.plane.folder, 'service-kubeconfig');
  }
}

/** A PodSpec with these containers, `c0` and so on. */
export function containers(...images: readonly string[]) {
  return { containers: images.map((image, index) => ({ name: `c${index}`, image })) };
}

interface Spec {
  readonly containers: readonly { readonly image: string }[];
  readonly initContainers?: readonly { readonly image: string }[];
  readonly ephemeralContainers?: readonly { readonly image: string }[];
  readonly volumes?: readonly { readonly image?: { readonly reference: string } }[];
}

function specOf({ body }: ApiReply): Spec {
  return (body as { readonly spec: Spec }).spec;
}

/** Returns the images of containers, init containers and volumes. */
export function imagesOf(reply: ApiReply): readonly string[] {
  if (reply.status >= 300) throw new Error(messageOf(reply));
  const { containers, initContainers = [], volumes = [] } = specOf(reply);
  const references = volumes.flatMap(({ image }) => image?.reference ?? []);
  return [...containers, ...initContainers].map(({ image }) => image).concat(references);
}
