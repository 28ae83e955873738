import { stringify } from 'yaml';
import { tableDefinition } from '../../../extension-service/src/core/engines/kyverno-table/objects.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { RunningService } from '../../fakes/service.js';
import { untilWith } from '../../fakes/until.js';
import { snapshotRules } from '../../tools/chart/snapshot-rules.js';
import { ControlPlane } from './control-plane.js';
import type { ApiObject } from './kube-api.js';
import { startKyverno } from './kyverno-controller.js';
import { EXCLUDED_NAMESPACE, MirroredWorld, startRegistries } from './mirrored-world.js';
import type { SourcesAndTarget } from './mirrored-world.js';
import { NAMESPACE } from './pods.js';
import type { Program } from './program.js';
import { WATCHING } from './service-account.js';
import type { PolicyRule, Rights } from './service-account.js';

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
export class KyvernoTableWorld extends MirroredWorld {
  private constructor(
    plane: ControlPlane,
    registries: SourcesAndTarget,
    private readonly kyverno: Program,
    private readonly ports: Readonly<Record<'http' | 'https', number>>,
  ) {
    super(plane, registries);
  }

  static async start(): Promise<KyvernoTableWorld> {
    const [plane, registries] = await Promise.all([ControlPlane.start(), startRegistries()]);
    const { ca } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const kyverno = await startKyverno(plane, { trusted: ca });
    const ports = { http: await freePort(), https: await freePort() };
    const world = new KyvernoTableWorld(plane, registries, kyverno, ports);
    await world.grant(TABLE_RIGHTS);
    await world.createNamespaces(NAMESPACE, EXCLUDED_NAMESPACE, UNDECIDED_NAMESPACE);
    await world.define();
    await world.serve();
    return world;
  }

  protected override async stopEngine(): Promise<void> {
    await this.kyverno.stop();
  }

  /** Applies the definition of the table's kind, as the chart does. */
  async define(): Promise<void> {
    const { api } = this.plane;
    for (const object of tableDefinition()) await api.apply(object as unknown as ApiObject);
    const path = '/apis/image-swapper.io/v1alpha1/imagetables';
    await untilWith(() => 'not served')('the kind is served', async () => (await api.send('GET', path)).status === 200);
  }

  /** Starts the service. The test must stop a running one first. */
  async serve(accessCheck: 'none' | 'pullSecrets' = 'none'): Promise<void> {
    this.service = await RunningService.start({
      config: stringify({
        target: this.targetConfig,
        // A slow lookup on a busy machine must not look like a missing image.
        answerBudget: '700ms',
        source: {
          accessCheck,
          registries: this.sourceConfigs,
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
}
