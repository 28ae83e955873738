import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { pushImage } from '../../bench/push-image.js';
import type { Certificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { BUNDLE, RunningService } from '../../fakes/service.js';
import { ControlPlane } from './control-plane.js';
import { CA_CONFIG_MAP, LONG_TIMEOUT } from './engines.js';
import { Front } from './front.js';
import { startGatekeeper } from './gatekeeper-manager.js';
import { startKyverno } from './kyverno-controller.js';
import { NAMESPACE } from './pods.js';
import type { Program } from './program.js';
import { KUBERNETES, KYVERNO } from './versions.js';
import type { KubernetesVersion, KyvernoVersion } from './versions.js';
import { until } from '../../fakes/until.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

const run = promisify(execFile);

/** `source.filters`. The first reads the image, which Gatekeeper leaves to the service. Engines evaluate the second. */
export const FILTERS = ["contains(container.image, '/filtered')", "obj.metadata.labels.tier == 'system'"];

/** Images that both registries have, at least as many as requested. */
export type MirroredImages = readonly string[] & Readonly<Record<0 | 1 | 2, string>>;

/** The versions of the programs. The current ones are the default. */
export interface WorldVersions {
  readonly kubernetes?: KubernetesVersion;
  readonly kyverno?: KyvernoVersion;
  /** Whether to continue without an engine that does not start. @default false */
  readonly incomplete?: boolean;
}

/**
 * A cluster with both engines, two registries, and the released form of the service behind the addresses in its
 * policies.
 */
export class World {
  #images = 0;
  #probe: Promise<MirroredImages> | undefined;

  private constructor(
    readonly plane: ControlPlane,
    readonly service: RunningService,
    readonly source: RealRegistry,
    readonly target: RealRegistry,
    readonly fronts: Readonly<Record<'http' | 'https', Front>>,
    /** The service's own ports behind the fronts. */
    readonly ports: Readonly<Record<'http' | 'https', number>>,
    private readonly programs: Program[],
    /** Engine → reason why it did not start. */
    readonly missing: Record<string, string>,
  ) {}

  static async start(versions: WorldVersions = {}): Promise<World> {
    const [source, target] = [await RealRegistry.start(), await RealRegistry.start()];
    const ports = { http: await freePort(), https: await freePort() };
    const service = await RunningService.start({
      config: stringify({
        imageSwapPolicy: 'exists',
        imageCopyPolicy: 'delayed',
        // A slow lookup on a busy machine must not look like a missing image.
        answerBudget: '700ms',
        source: {
          filters: FILTERS.map((jmespath) => ({ jmespath })),
          registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }],
        },
        target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      }),
      flags: ['--http-listen-address', `127.0.0.1:${ports.http}`],
      listen: `127.0.0.1:${ports.https}`,
    });
    const fronts = { http: await Front.start(ports.http), https: await Front.start(ports.https) };
    const plane = await ControlPlane.start({ version: versions.kubernetes ?? KUBERNETES });
    const { api } = plane;
    for (const name of [NAMESPACE, CA_CONFIG_MAP.namespace]) {
      await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    await api.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: CA_CONFIG_MAP, data: { 'ca.crt': service.ca } });
    const world = new World(plane, service, source, target, fronts, ports, [], {});
    await world.#start('kyverno', versions, () =>
      startKyverno(plane, { trusted: service.ca, version: versions.kyverno ?? KYVERNO }),
    );
    await world.#start('gatekeeper', versions, async () => {
      const values = gatekeeperChartValues({ timeoutSeconds: LONG_TIMEOUT });
      return (await startGatekeeper(plane, values)).program;
    });
    return world;
  }

  async #start(engine: string, { incomplete }: WorldVersions, start: () => Promise<Program>): Promise<void> {
    try {
      this.programs.push(await start());
    } catch (error) {
      if (incomplete !== true) throw error;
      this.missing[engine] = (error as Error).message;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.stop()));
    await this.plane.stop();
    await this.service.stop();
    await Promise.all(Object.values(this.fronts).map((front) => front.stop()));
    await Promise.all([this.source.stop(), this.target.stop()]);
  }

  /** The prefix that the policies accept. */
  get prefix(): string {
    return `${this.target.host}/mirror/`;
  }

  /** Makes the policies' address lead to the service itself again. */
  async restore(): Promise<void> {
    await this.fronts.http.setBackendPort(this.ports.http);
    await this.fronts.https.setBackendPort(this.ports.https);
  }

  /** The service's own certificate, for servers that replace the service. */
  async tls(): Promise<Certificates> {
    const read = (file: string) => readFile(join(this.service.folder, file), 'utf8');
    return { ca: this.service.ca, cert: await read('tls.crt'), key: await read('tls.key') };
  }

  /** Puts a new image into the source. */
  async image(): Promise<string> {
    this.#images += 1;
    const repository = `app-${this.#images}`;
    const image = buildImage({ seed: this.#images, platforms: ['linux/amd64'], layersPerPlatform: 1 });
    await pushImage(this.source.host, repository, image, '1');
    return `${this.source.host}/${repository}:1`;
  }

  async mirroredImages(count: number): Promise<MirroredImages> {
    const images = await Promise.all(Array.from({ length: count }, () => this.image()));
    await this.mirror(...images);
    await this.#knows(images);
    return images as string[] & MirroredImages;
  }

  /** Returns a mirrored image, always the same one, which the service remembers for the next seconds. */
  async probe(): Promise<string> {
    this.#probe ??= this.mirroredImages(1);
    const images = await this.#probe;
    await this.#knows(images);
    return images[0];
  }

  /**
   * Waits until the service answers that the target has these images. It then answers the next requests from memory: on
   * a busy machine, a request to the target can take longer than `answerBudget`. This asks the service itself, whatever
   * the fronts do, and counts as requests of the route `webhook`.
   */
  async #knows(images: readonly string[]): Promise<void> {
    const containers = images.map((image, index) => ({ name: `c-${index}`, image }));
    const object = { metadata: { name: 'known' }, spec: { containers } };
    const request = { uid: 'known', operation: 'CREATE', namespace: NAMESPACE, dryRun: true, object };
    const review = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
    const url = `https://127.0.0.1:${this.ports.https}/webhook`;
    await until('the service knows the images', async () => {
      const answer = (await post(url, review, { ca: this.service.ca })).json();
      const { patch = '' } = (answer as { readonly response: { readonly patch?: string } }).response;
      const patches = Buffer.from(patch, 'base64').toString('utf8');
      return images.every((image) => patches.includes(`"${this.swapped(image)}"`));
    });
  }

  /** Copies images with the service's command. */
  async mirror(...references: readonly string[]): Promise<void> {
    await run(process.execPath, [
      ...compileCacheFlags(),
      BUNDLE,
      'mirror',
      ...references,
      '--config',
      this.service.configFile,
    ]);
  }

  /** Returns the container's image once the target has it. A repository path cannot contain the colon before a port. */
  swapped(reference: string): string {
    return `${this.prefix}${reference.replace(':', '_')}`;
  }

  async isMirrored(reference: string): Promise<boolean> {
    const [, repository = '', tag = ''] = /^[^/]+\/(.*):([^:]+)$/.exec(reference) ?? [];
    const path = `mirror/${this.source.host.replace(':', '_')}/${repository}`;
    const accept = 'application/vnd.oci.image.index.v1+json';
    const url = `http://${this.target.host}/v2/${path}/manifests/${tag}`;
    const { status } = await fetch(url, { method: 'HEAD', headers: { accept } });
    return status === 200;
  }

  async waitUntilMirrored(reference: string): Promise<void> {
    await until(`${reference} is mirrored`, () => this.isMirrored(reference));
  }

  /** Returns the number of admission requests that the service has answered on a route. */
  async requests(route: string): Promise<number> {
    const { text } = await get(`${this.service.operations}/metrics`);
    const counters = text.matchAll(/^image_swapper_resolve_requests_total\{([^}]*)\} (\d+)$/gm);
    let total = 0;
    for (const [, labels = '', count] of counters) if (labels.includes(`route="${route}"`)) total += Number(count);
    return total;
  }
}
