import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { runProgram } from '../../fakes/program.js';
import { RunningService } from '../../fakes/service.js';
import { ControlPlane } from './control-plane.js';
import { EXCLUDED_NAMESPACE, MirroredWorld, startRegistries } from './mirrored-world.js';
import { NAMESPACE } from './pods.js';
import { WATCHING } from './service-account.js';
import type { Rights } from './service-account.js';
import type { KubernetesVersion } from './versions.js';

/** The policies that contain the table: the large part, and the entries added since that part was written. */
export const TABLE_POLICIES = ['image-swapper', 'image-swapper-recent'] as const;

/** The permissions that the chart grants, which are restricted to object names. */
export const TABLE_RIGHTS: Rights = {
  ...WATCHING,
  cluster: [
    ...(WATCHING.cluster ?? []),
    {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingadmissionpolicies', 'mutatingadmissionpolicybindings'],
      verbs: ['get', 'create', 'patch', 'update', 'delete'],
      resourceNames: TABLE_POLICIES,
    },
  ],
};

/** The same with the webhook of `policies.undecidable`. */
export const TABLE_AND_WEBHOOK_RIGHTS: Rights = {
  ...TABLE_RIGHTS,
  cluster: [
    ...(TABLE_RIGHTS.cluster ?? []),
    {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingwebhookconfigurations'],
      verbs: ['get', 'create', 'patch', 'update', 'delete'],
      resourceNames: [TABLE_POLICIES[0]],
    },
  ],
};

export interface TableServiceOptions {
  readonly accessCheck?: 'none' | 'pullSecrets';
  readonly failClosed?: boolean;
  /** Additional filters. */
  readonly filters?: readonly string[];
  /** `policies.undecidable: webhook`, with a serving certificate that the API server trusts. */
  readonly webhook?: boolean;
}

export interface CheckedPolicy {
  readonly policy: string;
  readonly ok: boolean;
  readonly isUnknown?: boolean;
  readonly message: string;
}

/**
 * kube-apiserver, registries, and the service with only {@link TABLE_RIGHTS}. There is no engine, and the service does
 * not have a webhook.
 */
export class TableWorld extends MirroredWorld {
  static async start(kubernetes?: KubernetesVersion): Promise<TableWorld> {
    const [plane, registries] = await Promise.all([
      ControlPlane.start(kubernetes === undefined ? {} : { version: kubernetes }),
      startRegistries(),
    ]);
    const world = new TableWorld(plane, registries);
    await world.grant(TABLE_RIGHTS);
    await world.createNamespaces(NAMESPACE, EXCLUDED_NAMESPACE);
    await world.serve();
    return world;
  }

  /** Starts the service. The test must stop a running one first. */
  async serve(options: TableServiceOptions = {}): Promise<void> {
    const { accessCheck = 'none', failClosed = false, filters = [] } = options;
    const called = options.webhook === true ? await this.callable() : undefined;
    this.service = await RunningService.start({
      config: stringify({
        target: this.targetConfig,
        source: {
          accessCheck,
          registries: this.sourceConfigs,
          filters: ["obj.metadata.labels.tier == 'system'", "container.name == 'left'", ...filters].map((jmespath) => ({
            jmespath,
          })),
        },
        policies: {
          ...{ engine: 'mutatingadmissionpolicy', manage: true, failClosed },
          excludedNamespaces: [EXCLUDED_NAMESPACE],
          ...called?.policies,
        },
      }),
      ...(called && { listen: called.listen, flags: called.flags }),
      env: { KUBECONFIG: this.kubeconfig },
      plain: true,
    });
  }

  /** The address of the service, and a certificate for it. */
  private async callable() {
    const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(this.plane.folder, name), text);
      return join(this.plane.folder, name);
    };
    const listen = `127.0.0.1:${await freePort()}`;
    return {
      listen,
      policies: { undecidable: 'webhook', url: `https://${listen}`, caFile: await file('service-ca.crt', ca) },
      flags: ['--tls-cert-file', await file('service.crt', cert), '--tls-key-file', await file('service.key', key)],
    };
  }

  /** The results of `check --online` about the cluster, with all permissions or with those of the service. */
  async check(permissions: 'all' | 'service'): Promise<readonly CheckedPolicy[]> {
    const flags = ['check', '--online', '--output', 'json', '--config', this.service.configFile];
    const KUBECONFIG = permissions === 'all' ? this.plane.kubeconfig : this.kubeconfig;
    const { stdout } = await runProgram(flags, { KUBECONFIG, HOME: this.plane.folder });
    return (JSON.parse(stdout) as { readonly cluster: readonly CheckedPolicy[] }).cluster;
  }
}
