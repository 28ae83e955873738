import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { get } from '../../fakes/https-client.js';
import { buildImage, OCI_INDEX } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import { runProgram } from '../../fakes/program.js';
import { RunningService } from '../../fakes/service.js';
import { untilWith } from '../../fakes/until.js';
import { ControlPlane } from './control-plane.js';
import { NAMESPACE } from './pods.js';
import { serviceAccount, WATCHING } from './service-account.js';
import type { Rights } from './service-account.js';
import type { KubernetesVersion } from './versions.js';

/** The policies that contain the table: the large part, and the entries added since that part was written. */
export const TABLE_POLICIES = ['image-swapper', 'image-swapper-recent'] as const;
export const EXCLUDED_NAMESPACE = 'monitoring';

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
export class TableWorld {
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
    readonly source: RealRegistry,
    /** The source that requires {@link TEST_LOGIN}. */
    readonly closedSource: RealRegistry,
    readonly target: RealRegistry,
  ) {}

  static async start(kubernetes?: KubernetesVersion): Promise<TableWorld> {
    const [plane, source, closedSource, target] = await Promise.all([
      ControlPlane.start(kubernetes === undefined ? {} : { version: kubernetes }),
      RealRegistry.start(),
      RealRegistry.start({ htpasswd: TEST_LOGIN.htpasswd }),
      RealRegistry.start(),
    ]);
    const world = new TableWorld(plane, source, closedSource, target);
    await world.grant(TABLE_RIGHTS);
    for (const name of [NAMESPACE, EXCLUDED_NAMESPACE])
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    await world.serve();
    return world;
  }

  async stop(): Promise<void> {
    await this.service.stop('SIGKILL');
    await Promise.all([this.plane, this.source, this.closedSource, this.target].map((one) => one.stop()));
  }

  async grant(rights: Rights): Promise<void> {
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights };
    await writeFile(this.kubeconfig, await serviceAccount(this.plane.api, account));
  }

  /** Starts the service. The test must stop a running one first. */
  async serve(options: TableServiceOptions = {}): Promise<void> {
    const { accessCheck = 'none', failClosed = false, filters = [] } = options;
    const called = options.webhook === true ? await this.callable() : undefined;
    this.service = await RunningService.start({
      config: stringify({
        target: { type: 'oci', oci: { registry: this.target.host, prefix: 'mirror', insecure: true } },
        source: {
          accessCheck,
          registries: [this.source, this.closedSource].map(({ host }) => ({
            type: 'oci',
            oci: { registry: host, insecure: true },
          })),
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

  /** The results of `check --online` about the cluster, with all permissions or with those of the service. */
  async check(permissions: 'all' | 'service'): Promise<readonly CheckedPolicy[]> {
    const flags = ['check', '--online', '--output', 'json', '--config', this.service.configFile];
    const KUBECONFIG = permissions === 'all' ? this.plane.kubeconfig : this.kubeconfig;
    const { stdout } = await runProgram(flags, { KUBECONFIG, HOME: this.plane.folder });
    return (JSON.parse(stdout) as { readonly cluster: readonly CheckedPolicy[] }).cluster;
  }

  private get kubeconfig(): string {
    return join(this.plane.folder, 'service-kubeconfig');
  }
}
