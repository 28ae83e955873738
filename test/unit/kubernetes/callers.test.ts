import { describe, expect, it } from 'vitest';
import { MANAGED_KINDS } from '../../../extension-service/src/core/engines/engines.js';
import { callerChanges } from '../../../extension-service/src/kubernetes/serving-certificate/callers.js';
import type { CallerChanges } from '../../../extension-service/src/kubernetes/serving-certificate/callers.js';

const NAMES = ['image-swapper.tools.svc', 'swap.example.com', 'fd00::1'];
const VALUE = Buffer.from('new').toString('base64');
const OLD = Buffer.from('old').toString('base64');

/** The changes to the CA certificate in an object of this kind. */
function changesOf(kind: string, object: unknown): CallerChanges {
  const holder = MANAGED_KINDS.find((one) => one.kind === kind)?.caHolder;
  if (holder === undefined) throw new Error(`${kind} has no CA certificate`);
  return callerChanges(holder.calls(object), NAMES, 'new');
}

describe('the CA certificate in an object that calls the service', () => {
  const provider = (url: string, caBundle = OLD) => changesOf('Provider', { spec: { url, caBundle } });
  const added = { patch: [{ op: 'add', path: '/spec/caBundle', value: VALUE }], elsewhere: [] };
  it.each([
    ['is replaced', provider('https://image-swapper.tools.svc:8443/v1/gatekeeper'), added],
    ['is replaced at an IPv6 address', provider('https://[fd00::1]:8443/'), added],
    ['is replaced whatever case the host is in', provider('https://SWAP.example.com/'), added],
    ['is fine as it is', provider('https://swap.example.com/', VALUE), { patch: [], elsewhere: [] }],
    [
      'is another’s where it calls another host',
      provider('https://other.example.com/'),
      { patch: [], elsewhere: ['other.example.com'] },
    ],
    ['is another’s where the address is none', provider('nowhere'), { patch: [], elsewhere: ['nowhere'] }],
  ])('%s', (_, changes, expected) => {
    expect(changes).toEqual(expected);
  });

  it('is replaced only in webhooks of a configuration that call the service', () => {
    const service = (name: string) => ({ clientConfig: { service: { name, namespace: 'tools' }, caBundle: OLD } });
    const url = (host: string) => ({ clientConfig: { url: `https://${host}/webhook` } });
    const webhooks = [service('other'), service('image-swapper'), url('swap.example.com'), url('a.example')];
    expect(changesOf('MutatingWebhookConfiguration', { webhooks })).toEqual({
      patch: [
        { op: 'add', path: '/webhooks/1/clientConfig/caBundle', value: VALUE },
        { op: 'add', path: '/webhooks/2/clientConfig/caBundle', value: VALUE },
      ],
      elsewhere: ['other.tools.svc', 'a.example'],
    });
    expect(changesOf('MutatingWebhookConfiguration', {})).toEqual({ patch: [], elsewhere: [] });
  });
});
