import type { NamespaceSelector, PolicyObject } from '../../core/policies/objects.js';
import { isRecord } from '../../util/is-record.js';

type Requirement = NamespaceSelector['matchExpressions'][number];

/**
 * Labels of namespaces that a cluster's platform excludes from every webhook: the admissions enforcer of Azure
 * Kubernetes Service within seconds (Azure/AKS#4002), and Gardener's webhook remediator (gardener/gardener#6566).
 */
const PLATFORM_LABELS: ReadonlySet<unknown> = new Set([
  'control-plane',
  'kubernetes.azure.com/managedby',
  'gardener.cloud/purpose',
]);
const EXCLUDING: ReadonlySet<unknown> = new Set(['NotIn', 'DoesNotExist']);

/** Google Kubernetes Engine excludes its own namespaces by their names (Dynatrace/dynatrace-operator#2194). */
const NAME_LABEL = 'kubernetes.io/metadata.name';
const PLATFORM_NAMESPACE = /^(?:gke|kube)-/;

/**
 * The object with the namespaces that the cluster's platform excludes from its webhooks in the cluster. Without them,
 * the service and the platform would overwrite each other forever.
 *
 * @param live the whole object as stored in the API server
 */
export function withPlatformSelectors(object: PolicyObject, live: unknown): PolicyObject {
  if (object.kind !== 'MutatingWebhookConfiguration') return object;
  const webhooks = object.webhooks.map((webhook) => {
    const requirements = requirementsIn(live, webhook.name);
    const own = webhook.namespaceSelector.matchExpressions.map((one) => withPlatformNames(one, requirements));
    const keys = new Set<unknown>(own.map(({ key }) => key));
    const excluded = new Set(own.flatMap(({ key, values = [] }) => (key === NAME_LABEL ? values : [])));
    const added = requirements.filter(
      (one) => (PLATFORM_LABELS.has(one.key) && !keys.has(one.key)) || addsOnlyPlatformNames(one, excluded),
    );
    return { ...webhook, namespaceSelector: { matchExpressions: [...own, ...added] } };
  });
  return { ...object, webhooks };
}

/** Our requirement on names as it is in the cluster, if only the platform's namespaces were added to it. */
function withPlatformNames(own: Requirement, live: readonly Requirement[]): Requirement {
  if (own.key !== NAME_LABEL || own.operator !== 'NotIn') return own;
  const excluded = own.values ?? [];
  const extended = live.find(({ key, operator, values = [] }) => {
    if (key !== own.key || operator !== own.operator) return false;
    const added = values.filter((value) => !excluded.includes(value));
    return excluded.every((value) => values.includes(value)) && added.every(isPlatformNamespace);
  });
  return extended ?? own;
}

/** Whether a requirement of its own excludes more of the platform's namespaces, and no other. */
function addsOnlyPlatformNames({ key, operator, values = [] }: Requirement, excluded: ReadonlySet<string>): boolean {
  if (key !== NAME_LABEL || operator !== 'NotIn') return false;
  return values.every(isPlatformNamespace) && values.some((value) => !excluded.has(value));
}

function isPlatformNamespace(name: string): boolean {
  return PLATFORM_NAMESPACE.test(name);
}

/** The requirements of a webhook in the cluster that exclude namespaces. */
function requirementsIn(live: unknown, name: string): readonly Requirement[] {
  const webhook = listIn(live, 'webhooks').find((one) => isRecord(one) && one['name'] === name);
  const selector = isRecord(webhook) ? webhook['namespaceSelector'] : undefined;
  return listIn(selector, 'matchExpressions').filter((one): one is Requirement => {
    if (!isRecord(one) || typeof one['key'] !== 'string' || !EXCLUDING.has(one['operator'])) return false;
    return listIn(one, 'values').every((value) => typeof value === 'string');
  });
}

function listIn(value: unknown, key: string): readonly unknown[] {
  const list = isRecord(value) ? value[key] : undefined;
  return Array.isArray(list) ? list : [];
}
