import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../fakes/free-port.js';
import { goModule } from '../../tools/tool.js';
import type { ControlPlane } from './control-plane.js';
import { installCrds } from './crds.js';
import { withHosts } from './hosts.js';
import { Program } from './program.js';
import { KYVERNO_MODULE, kyvernoController, kyvernoModule, OLDEST_KYVERNO } from './versions.js';
import type { KyvernoVersion } from './versions.js';

const NAMESPACE = 'kyverno';
const SERVICE = 'kyverno-svc';
const CA_SECRET = `${SERVICE}.${NAMESPACE}.svc.kyverno-tls-ca`;
const PAIR_SECRET = `${SERVICE}.${NAMESPACE}.svc.kyverno-tls-pair`;

/** The parts of the configuration in Kyverno's Helm chart that these tests need. */
const CONFIGURATION = {
  generateSuccessEvents: 'false',
  resourceFilters: '[Event,*,*][*/*,kube-system,*][*/*,kyverno,*][Node,*,*][Lease,*,*]',
  webhooks:
    '{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kube-system","kyverno"]}]}}',
};

/** Flags that the oldest version does not have. Without the first, it listens at every address. */
const LATER_FLAGS = ['--webhookServerHost=127.0.0.1', '--controllerRuntimeMetricsAddress=0', '--disableLogColor'];

export interface KyvernoOptions {
  /** CA certificates in Kyverno's trust store, PEM. */
  readonly trusted: string;
  /** Names that Kyverno can resolve, as with the cluster's DNS: name → address. Needs root. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Namespace of the PolicyExceptions that Kyverno applies. @default none, like Kyverno's own default */
  readonly exceptions?: string;
  /** @default the current one */
  readonly version?: KyvernoVersion;
}

/** Starts Kyverno's admission controller beside the API server, which calls it at a loopback address. */
export async function startKyverno(
  plane: ControlPlane,
  { trusted, hosts, exceptions, version }: KyvernoOptions,
): Promise<Program> {
  const command = await kyvernoController(version);
  const isOld = version === OLDEST_KYVERNO;
  const { api, folder } = plane;
  const crds = join(await goModule(kyvernoModule(version), KYVERNO_MODULE), 'config', 'crds');
  const groups = ['kyverno', ...(isOld ? [] : ['policies.kyverno.io']), 'policyreport', 'reports'];
  await installCrds(
    api,
    groups.map((group) => join(crds, group)),
  );
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const config = (name: string, data: object) =>
    api.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: NAMESPACE }, data });
  await config('kyverno', CONFIGURATION);
  await config('kyverno-metrics', { namespaces: '{"exclude": [], "include": []}' });
  await writeFile(join(folder, 'kyverno-trusted.crt'), trusted);
  const port = await freePort();
  const flags = [
    `--kubeconfig=${plane.kubeconfig}`,
    `--serverIP=127.0.0.1:${port}`,
    `--webhookServerPort=${port}`,
    `--caSecretName=${CA_SECRET}`,
    `--tlsSecretName=${PAIR_SECRET}`,
    '--disableMetrics=true',
    // Another Kyverno on this machine may use the default port.
    `--metricsPort=${await freePort()}`,
    ...(isOld ? [] : LATER_FLAGS),
    ...(exceptions === undefined ? [] : ['--enablePolicyException=true', `--exceptionNamespace=${exceptions}`]),
  ];
  const kyverno = Program.start('kyverno', {
    ...(await withHosts(command, flags, folder, hosts)),
    cwd: folder,
    env: {
      KYVERNO_NAMESPACE: NAMESPACE,
      KYVERNO_SERVICEACCOUNT_NAME: 'kyverno-admission-controller',
      KYVERNO_DEPLOYMENT: 'dummy',
      KYVERNO_POD_NAME: 'dummy',
      KYVERNO_SVC: SERVICE,
      INIT_CONFIG: 'kyverno',
      METRICS_CONFIG: 'kyverno-metrics',
      SSL_CERT_FILE: join(folder, 'kyverno-trusted.crt'),
      // By default, Kyverno does not let policies call loopback addresses.
      FLAG_HTTP_BLOCKLIST: '169.254.169.254/32',
    },
  });
  const there = async (path: string): Promise<boolean> => (await api.send('GET', path)).status === 200;
  await kyverno.waitFor('its webhooks', 120, async () => {
    const paths = [
      `/api/v1/namespaces/${NAMESPACE}/secrets/${CA_SECRET}`,
      `/api/v1/namespaces/${NAMESPACE}/secrets/${PAIR_SECRET}`,
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/kyverno-policy-validating-webhook-cfg',
    ];
    return (await Promise.all(paths.map(there))).every(Boolean);
  });
  return kyverno;
}
