import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { tableDefinition } from '../../../extension-service/src/core/engines/kyverno-table/objects.js';
import { pushImage } from '../../bench/push-image.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { get } from '../../fakes/https-client.js';
import { buildImage, OCI_INDEX } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import { RunningService } from '../../fakes/service.js';
import { untilWith } from '../../fakes/until.js';
import { snapshotRules } from '../../tools/chart/snapshot-rules.js';
import { ControlPlane } from './control-plane.js';
import type { ApiObject } from './kube-api.js';
import { startKyverno } from './kyverno-controller.js';
import { NAMESPACE } from './pods.js';
import type { Program } from './program.js';
import { serviceAccount, WATCHING } from './service-account.js';
import type { PolicyRule, Rights } from './service-account.js';

export const EXCLUDED_NAMESPACE = 'monitoring';
/** Its Pods have a filter that only the service can decide. */
export const UNDECIDED_NAMESPACE = 'play';

/** The rights that the chart grants with `policies.table`, restricted to object names. */
export const TABLE_RIGHTS: Rights = {
  ...WATCHING,
  cluster: [
    ...(WATCHING.cluster ?? []),
    ...(snapshotRules(
      'test/fixtures/chart/managed-kyverno-table.txt',
      'ClusterRole image-swapper:image-swapper-policies',
    ) as readonly PolicyRule[]),
    { apiGroups: [''], resources: ['secrets', 'serviceaccounts'], verbs: ['get', 'list', 'watch'] },
  ],
};

/** kube-apiserver, Kyverno, registries, and the service with only {@link TABLE_RIGHTS}. */
export class KyvernoTableWorld {
  /** The running service, or the one that ran last. */
  service!: RunningService;
  readonly until = untilWith(() =>
    this.service.log
      .slice(-30)
      .map((line) => JSON.stringify(line))
      .join('\n'),
  );
  private pushed = 0;

  private constructor(
    readonly plane: ControlPlane,
    private readonly kyverno: Program,
    readonly source: RealRegistry,
    /** The source that requires {@link TEST_LOGIN}. */
    readonly closedSource: RealRegistry,
    readonly target: RealRegistry,
    private readonly ports: Readonly<Record<'http' | 'https', number>>,
  ) {}

  static async start(): Promise<KyvernoTableWorld> {
    const [plane, source, closedSource, target] = await Promise.all([
      ControlPlane.start(),
      RealRegistry.start(),
      RealRegistry.start({ htpasswd: TEST_LOGIN.htpasswd }),
      RealRegistry.start(),
    ]);
    const { ca } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const kyverno = await startKyverno(plane, { trusted: ca });
    const ports = { http: await freePort(), https: await freePort() };
    const world = new KyvernoTableWorld(plane, kyverno, source, closedSource, target, ports);
    await world.grant(TABLE_RIGHTS);
    for (const name of [NAMESPACE, EXCLUDED_NAMESPACE, UNDECIDED_NAMESPACE])
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    await world.define();
    await world.serve();
    return world;
  }

  async stop(): Promise<void> {
    await this.service.stop('SIGKILL');
    await this.kyverno.stop();
    await Promise.all([this.plane, this.source, this.closedSource, this.target].map((one) => one.stop()));
  }

  /** Applies the definition of the table's kind, as the chart does. */
  async define(): Promise<void> {
    const { api } = this.plane;
    for (const object of tableDefinition()) await api.apply(object as unknown as ApiObject);
    const path = '/apis/image-swapper.io/v1alpha1/imagetables';
    await untilWith(() => 'not served')('the kind is served', async () => (await api.send('GET', path)).status === 200);
  }

  async grant(rights: Rights): Promise<void> {
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights };
    await writeFile(this.kubeconfig, await serviceAccount(this.plane.api, account));
  }

  /** Starts the service. The test must stop a running one first. */
  async serve(accessCheck: 'none' | 'pullSecrets' = 'none'): Promise<void> {
    this.service = await RunningService.start({
      config: stringify({
        target: { type: 'oci', oci: { registry: this.target.host, prefix: 'mirror', insecure: true } },
        // A slow lookup on a busy machine must not look like a missing image.
        answerBudget: '700ms',
        source: {
          accessCheck,
          registries: [this.source, this.closedSource].map(({ host }) => ({
            type: 'oci',
            oci: { registry: host, insecure: true },
          })),
          filters: [
            "obj.metadata.labels.tier == 'system'",
            "container.name == 'left'",
            `obj.metadata.namespace == '${UNDECIDED_NAMESPACE}' && obj.spec.containers[0].args[0] == 'kept'`,
          ].map((jmespath) => ({ jmespath })),
        },
        policies: {
          ...{ manage: true, table: true, url: `http://127.0.0.1:${this.ports.http}` },
          excludedNamespaces: [EXCLUDED_NAMESPACE],
        },
      }),
      flags: ['--http-listen-address', `127.0.0.1:${this.ports.http}`],
      listen: `127.0.0.1:${this.ports.https}`,
      env: { KUBECONFIG: this.kubeconfig },
    });
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

  private get kubeconfig(): string {
    return join(this.plane.folder, 'service-kubeconfig');
  }
}
