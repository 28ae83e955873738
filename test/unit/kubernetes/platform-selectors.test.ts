import { describe, expect, it } from 'vitest';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { withPlatformSelectors } from '../../../extension-service/src/kubernetes/managed-policies/platform-selectors.js';
import { CA, HTTPS, TARGETS } from '../policies/example-options.js';

const object = renderMutatingWebhook({ url: HTTPS, targets: TARGETS, caBundle: CA });
const name = object.webhooks[0]?.name ?? '';
const own = object.webhooks[0]?.namespaceSelector.matchExpressions ?? [];
const live = (matchExpressions: unknown, webhook = name) => ({
  webhooks: [{ name: webhook, namespaceSelector: { matchExpressions } }],
});
const names = (values: readonly string[]) => ({ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values });
const [ownNames] = own;
const gke = ['gke-gmp-system', 'gke-managed-cim'];
const aks = [
  { key: 'control-plane', operator: 'NotIn', values: ['true'] },
  { key: 'kubernetes.azure.com/managedby', operator: 'NotIn', values: ['aks'] },
];

describe('withPlatformSelectors', () => {
  it.each<[string, unknown, readonly object[]]>([
    ['the exclusions of AKS', live([...own, ...aks]), aks],
    [
      'its older form',
      live([{ key: 'control-plane', operator: 'DoesNotExist' }]),
      [{ key: 'control-plane', operator: 'DoesNotExist' }],
    ],
    [
      'those of Gardener',
      live([{ key: 'gardener.cloud/purpose', operator: 'NotIn', values: ['kube-system'] }]),
      [{ key: 'gardener.cloud/purpose', operator: 'NotIn', values: ['kube-system'] }],
    ],
    ['those of GKE, by name', live([...own, names(['kube-system', ...gke])]), [names(['kube-system', ...gke])]],
    ['no namespace by name that our own list excludes', live([...own, names(['kube-system'])]), []],
    ['no other namespace by name', live([...own, names(['shop', ...gke])]), []],
    ["no selector that is not the platform's", live([{ key: 'team', operator: 'NotIn', values: ['a'] }]), []],
    ['no selector that requires a label', live([{ key: 'control-plane', operator: 'In', values: ['true'] }]), []],
    ['nothing of another webhook', live(aks, 'other.example.com'), []],
    ['nothing of an object that cannot be read', undefined, []],
    ['nothing of odd objects', { webhooks: [null, { name, namespaceSelector: { matchExpressions: [7, null] } }] }, []],
  ])('keeps %s', (_, found, kept) => {
    const [webhook] = (withPlatformSelectors(object, found) as typeof object).webhooks;
    expect(webhook).toEqual({ ...object.webhooks[0], namespaceSelector: { matchExpressions: [...own, ...kept] } });
  });

  it.each<[string, readonly string[], boolean]>([
    ['keeps names of GKE that were added to our own list', [...(ownNames?.values ?? []), ...gke], true],
    ['keeps their order', [...gke, ...(ownNames?.values ?? [])], true],
    ['undoes a list with another name', [...(ownNames?.values ?? []), 'shop', ...gke], false],
    ['undoes a list from which a name was removed', gke, false],
  ])('%s', (_, values, isKept) => {
    expect(ownNames).toMatchObject({ key: 'kubernetes.io/metadata.name', operator: 'NotIn' });
    const [webhook] = (withPlatformSelectors(object, live([names(values)])) as typeof object).webhooks;
    const [first] = webhook?.namespaceSelector.matchExpressions ?? [];
    expect(first).toEqual(isKept ? names(values) : ownNames);
  });
});
