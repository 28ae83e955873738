import type { NamespaceSelector, PolicyObject } from '../../core/policies/objects.js';
import { isRecord } from '../../util/is-record.js';

type Requirement = NamespaceSelector['matchExpressions'][number];

/**
 * Labels of namespaces that the admissions enforcer of Azure Kubernetes Service excludes from every webhook. It adds
 * them within seconds to each object that lacks them (Azure/AKS#4002).
 */
const PLATFORM_LABELS: ReadonlySet<unknown> = new Set(['control-plane', 'kubernetes.azure.com/managedby']);
const EXCLUDING: ReadonlySet<unknown> = new Set(['NotIn', 'DoesNotExist']);

/**
 * The object with the namespaces that the cluster's platform excludes from its webhooks in the cluster. Without them,
 * the service and the platform would overwrite each other forever.
 *
 * @param live the whole object as stored in the API server
 */
export function withPlatformSelectors(object: PolicyObject, live: unknown): PolicyObject {
  if (object.kind !== 'MutatingWebhookConfiguration') return object;
  const webhooks = object.webhooks.map((webhook) => {
    const { matchExpressions } = webhook.namespaceSelector;
    const added = platformRequirements(live, webhook.name).filter(
      ({ key }) => !matchExpressions.some((own) => own.key === key),
    );
    return added.length === 0
      ? webhook
      : { ...webhook, namespaceSelector: { matchExpressions: [...matchExpressions, ...added] } };
  });
  return { ...object, webhooks };
}

function platformRequirements(live: unknown, name: string): readonly Requirement[] {
  const webhook = listIn(live, 'webhooks').find((one) => isRecord(one) && one['name'] === name);
  const selector = isRecord(webhook) ? webhook['namespaceSelector'] : undefined;
  return listIn(selector, 'matchExpressions').filter(
    (one): one is Requirement => isRecord(one) && PLATFORM_LABELS.has(one['key']) && EXCLUDING.has(one['operator']),
  );
}

function listIn(value: unknown, key: string): readonly unknown[] {
  const list = isRecord(value) ? value[key] : undefined;
  return Array.isArray(list) ? list : [];
}
