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
    ["no selector that is not the platform's", live([{ key: 'team', operator: 'NotIn', values: ['a'] }]), []],
    ['no selector that requires a label', live([{ key: 'control-plane', operator: 'In', values: ['true'] }]), []],
    ['nothing of another webhook', live(aks, 'other.example.com'), []],
    ['nothing of an object that cannot be read', undefined, []],
    ['nothing of odd objects', { webhooks: [null, { name, namespaceSelector: { matchExpressions: [7, null] } }] }, []],
  ])('keeps %s', (_, found, kept) => {
    const [webhook] = (withPlatformSelectors(object, found) as typeof object).webhooks;
    expect(webhook).toEqual({ ...object.webhooks[0], namespaceSelector: { matchExpressions: [...own, ...kept] } });
  });
});
