/** What becomes of a value of k8s-image-swapper's chart in ours. */
export type Fate =
  /** The same name and meaning; with a message, something about it is to be looked at all the same. */
  | { readonly kind: 'kept'; readonly look?: (value: unknown) => string | undefined }
  /** Another name, perhaps another value; undefined leaves it out, as it says what ours does anyway. */
  | {
      readonly kind: 'moved';
      readonly to: readonly string[];
      readonly value: (value: unknown) => string | boolean | undefined;
    }
  /** No meaning here; the message says why, and what to do. */
  | { readonly kind: 'dropped'; readonly message: string }
  /** Kept by the engine `webhook`; the others have no such thing. */
  | { readonly kind: 'of-webhook'; readonly message: string };

const kept: Fate = { kind: 'kept' };
const dropped = (message: string): Fate => ({ kind: 'dropped', message });
const look = (message: string | ((value: unknown) => string | undefined)): Fate => ({
  kind: 'kept',
  look: typeof message === 'string' ? () => message : message,
});

/**
 * Every value of the k8s-image-swapper chart 1.11.0 but `config`, by its dotted name: a mapping that is named here is
 * taken as a whole. docs/migration.md says the same to people, and a test holds the two together.
 */
export const CHART_KEYS: ReadonlyMap<string, Fate> = new Map<string, Fate>([
  ['replicaCount', kept],
  ['image.repository', dropped("is k8s-image-swapper's image: set image.repository only if you keep a copy of ours")],
  ['image.tag', dropped("is a tag of k8s-image-swapper's image: ours is the chart's appVersion")],
  ['image.pullPolicy', kept],
  ['containerPort', kept],
  ['kubeVersionOverride', dropped('has no meaning: no object differs by the version of Kubernetes')],
  ['imagePullSecrets', kept],
  ['nameOverride', look('names would clash while both run in one namespace: install ours in another, or change it')],
  [
    'fullnameOverride',
    look('names would clash while both run in one namespace: install ours in another, or change it'),
  ],
  ['commonLabels', kept],
  ['serviceAccount.create', kept],
  ['serviceAccount.annotations', look(identity)],
  ['serviceAccount.name', look('both releases cannot own one ServiceAccount: give another name while both run')],
  ['rbac.create', kept],
  ['deployment.annotations', kept],
  ['deployment.priorityClassName', kept],
  ['podSecurityPolicy', dropped('has no meaning: Kubernetes has no PodSecurityPolicy since 1.25')],
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
    dropped('has no meaning: the service makes and rotates its certificate (tls.mode: selfSigned), without Jobs'),
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
  ['webhook.reinvocationPolicy', { kind: 'of-webhook', message: 'the engine decides when policies are applied again' }],
  ['webhook.timeoutSeconds', kept],
  [
    'webhook.namespaceSelector',
    { kind: 'of-webhook', message: 'say it in config.source.filters, or in policies.excludedNamespaces' },
  ],
  ['webhook.objectSelector', { kind: 'of-webhook', message: 'say it in config.source.filters' }],
  ['awsSecretName', kept],
  ['awsSecretKeys.accessKeyID', kept],
  ['awsSecretKeys.secretAccessKey', kept],
  ['secretReader.enabled', kept],
  ['secretReader.secretNames', kept],
  [
    'dev',
    dropped('has no meaning: policies.url sends an engine to a service elsewhere, policies.engine: none to nowhere'),
  ],
  ['extraEnv', kept],
  ['extraManifests', kept],
  ['extraManifestsTemplated', kept],
  ['clusterSuffix', kept],
  ['test', dropped('has no meaning: the chart has no test Pod')],
  ['cacheVolume', dropped('has no meaning: images are streamed from registry to registry, nothing is stored')],
]);

/** A cloud's trust in a ServiceAccount names it and its namespace. */
function identity(annotations: unknown): string | undefined {
  const keys = typeof annotations === 'object' && annotations !== null ? Object.keys(annotations) : [];
  if (keys.includes('eks.amazonaws.com/role-arn')) {
    return "the role's trust policy names a namespace and a ServiceAccount: let it trust those of ours, too";
  }
  return keys.includes('iam.gke.io/gcp-service-account')
    ? 'roles/iam.workloadIdentityUser is bound to a namespace and a ServiceAccount: bind those of ours, too'
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
/** What the service has been seen to need while it copies (docs/benchmarks.md), with some room. */
const leastMemory = 256 * 2 ** 20;

function smallMemory(resources: unknown): string | undefined {
  const limit = (resources as { limits?: { memory?: unknown } } | null)?.limits?.memory;
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(|k|M|G|Ki|Mi|Gi)$/.exec(String(limit)) ?? [];
  if (number === undefined || Number(number) * (units[unit] ?? 1) >= leastMemory) return undefined;
  return `a memory limit of ${String(limit)} is less than the service needs while it copies: give 256Mi or more`;
}
