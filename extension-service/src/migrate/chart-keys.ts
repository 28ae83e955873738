/** The counterpart of a value of k8s-image-swapper's chart. */
export type KeyChange =
  /** The same name and meaning; with a message if the user should check something. */
  | { readonly kind: 'kept'; readonly look?: (value: unknown) => string | undefined }
  /** Another name, perhaps with another value; undefined drops it, because it is our default anyway. */
  | {
      readonly kind: 'moved';
      readonly to: readonly string[];
      readonly value: (value: unknown) => string | boolean | undefined;
    }
  /** It has no effect here; the message says why, and what to do. */
  | { readonly kind: 'dropped'; readonly message: string }
  /** Kept with the engine `webhook`; the others have no such setting. */
  | { readonly kind: 'of-webhook'; readonly message: string };

const kept: KeyChange = { kind: 'kept' };
const dropped = (message: string): KeyChange => ({ kind: 'dropped', message });
const look = (message: string | ((value: unknown) => string | undefined)): KeyChange => ({
  kind: 'kept',
  look: typeof message === 'string' ? () => message : message,
});

/**
 * Every value of the k8s-image-swapper chart 1.11.0 except `config`, by its dotted name: a listed mapping stands for
 * all its members. docs/migration.md documents the same, and a test compares them.
 */
export const CHART_KEYS: ReadonlyMap<string, KeyChange> = new Map<string, KeyChange>([
  ['replicaCount', kept],
  [
    'image.repository',
    dropped("is k8s-image-swapper's image: set image.repository only for your own copy of the image-swapper image"),
  ],
  ['image.tag', dropped("is a tag of k8s-image-swapper's image: image-swapper uses the chart's appVersion")],
  ['image.pullPolicy', kept],
  ['containerPort', kept],
  [
    'kubeVersionOverride',
    dropped('is no longer needed: the chart renders the same objects for every Kubernetes version'),
  ],
  ['imagePullSecrets', kept],
  [
    'nameOverride',
    look(
      'names would conflict while both run in one namespace: install image-swapper in another namespace, or change the name',
    ),
  ],
  [
    'fullnameOverride',
    look(
      'names would conflict while both run in one namespace: install image-swapper in another namespace, or change the name',
    ),
  ],
  ['commonLabels', kept],
  ['serviceAccount.create', kept],
  ['serviceAccount.annotations', look(identity)],
  ['serviceAccount.name', look('two releases cannot own one ServiceAccount: use another name while both run')],
  ['rbac.create', kept],
  ['deployment.annotations', kept],
  ['deployment.priorityClassName', kept],
  ['podSecurityPolicy', dropped('is no longer needed: Kubernetes 1.25 removed PodSecurityPolicy')],
  ['podAnnotations', kept],
  ['podSecurityContext', kept],
  ['securityContext', kept],
  ['service.type', kept],
  ['service.port', kept],
  ['resources', look(smallMemory)],
  ['autoscaling.enabled', kept],
  ['autoscaling.minReplicas', kept],
  ['autoscaling.maxReplicas', kept],
  ['autoscaling.targetCPUUtilizationPercentage', kept],
  ['autoscaling.targetMemoryUtilizationPercentage', kept],
  ['pdb.enabled', kept],
  ['pdb.minAvailable', kept],
  ['nodeSelector', kept],
  ['tolerations', kept],
  ['affinity', kept],
  ['topologySpreadConstraints', kept],
  ['hostNetwork', kept],
  [
    'patch',
    dropped('is no longer needed: the service creates and rotates its certificate (tls.mode: selfSigned) without Jobs'),
  ],
  [
    'certmanager.enabled',
    { kind: 'moved', to: ['tls', 'mode'], value: (enabled) => (enabled === true ? 'certManager' : undefined) },
  ],
  ['certmanager.issuerKind', kept],
  ['certmanager.issuerName', kept],
  [
    'webhook.failurePolicy',
    { kind: 'moved', to: ['policies', 'failClosed'], value: (policy) => String(policy).toLowerCase() === 'fail' },
  ],
  ['webhook.reinvocationPolicy', { kind: 'of-webhook', message: 'the engine decides when to reapply policies' }],
  ['webhook.timeoutSeconds', kept],
  [
    'webhook.namespaceSelector',
    { kind: 'of-webhook', message: 'use config.source.filters or policies.excludedNamespaces' },
  ],
  ['webhook.objectSelector', { kind: 'of-webhook', message: 'use config.source.filters' }],
  ['awsSecretName', kept],
  ['awsSecretKeys.accessKeyID', kept],
  ['awsSecretKeys.secretAccessKey', kept],
  ['secretReader.enabled', kept],
  ['secretReader.secretNames', kept],
  [
    'dev',
    dropped('is no longer needed: for a service elsewhere set policies.url; for no policies set policies.engine: none'),
  ],
  ['extraEnv', kept],
  ['extraManifests', kept],
  ['extraManifestsTemplated', kept],
  ['clusterSuffix', kept],
  ['test', dropped('is no longer needed: the chart has no test Pod')],
  ['cacheVolume', dropped('is no longer needed: images are streamed from registry to registry and not stored')],
]);

/** A cloud's trust in a ServiceAccount names it and its namespace. */
function identity(annotations: unknown): string | undefined {
  const keys = typeof annotations === 'object' && annotations !== null ? Object.keys(annotations) : [];
  if (keys.includes('eks.amazonaws.com/role-arn')) {
    return "the role's trust policy names a namespace and a ServiceAccount: add those of image-swapper";
  }
  return keys.includes('iam.gke.io/gcp-service-account')
    ? 'roles/iam.workloadIdentityUser is bound to a namespace and a ServiceAccount: also bind those of image-swapper'
    : undefined;
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};
/** The measured need of the service while it copies (docs/benchmarks.md), with some margin. */
const minMemory = 256 * 2 ** 20;

function smallMemory(resources: unknown): string | undefined {
  const limit = (resources as { limits?: { memory?: unknown } } | null)?.limits?.memory;
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(|k|M|G|Ki|Mi|Gi)$/.exec(String(limit)) ?? [];
  if (number === undefined || Number(number) * (units[unit] ?? 1) >= minMemory) return undefined;
  return `a memory limit of ${String(limit)} is less than the service needs while it copies: set 256Mi or more`;
}
