import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ImageSwapperProps } from '../../../cdk8s/src/index.js';
import { CA } from '../policies/example-options.js';
import { swapper } from './swapper.js';

afterEach(() => vi.restoreAllMocks());

const target = { oci: { registry: 'harbor.example.com' } };
const PUBLIC = 'https://images.example.com';

function render(policies: object, props: Omit<ImageSwapperProps, 'config'> = {}) {
  return swapper({ config: { target, policies }, ...props });
}

describe("the configuration's policies, in ImageSwapper", () => {
  it('are the defaults of the props', () => {
    const { manifests, construct } = render(
      { engine: 'webhook', name: 'mirror', url: PUBLIC, failClosed: true, excludedNamespaces: ['monitoring'] },
      { tls: 'public' },
    );
    const [webhook] = manifests;
    expect(webhook).toMatchObject({
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'mirror' },
      webhooks: [
        {
          failurePolicy: 'Fail',
          clientConfig: { url: expect.stringMatching(`^${PUBLIC}/webhook/[0-9a-f]{12}$`) as string },
        },
      ],
    });
    expect(JSON.stringify(webhook)).toContain('"monitoring"');
    expect(construct.warnings).toEqual([expect.stringMatching(/no Pod starts/)]);
  });

  it('are ignored with engine none, as in the chart', () => {
    expect(render({ engine: 'none' }).manifests[0]).toMatchObject({ kind: 'MutatingPolicy' });
    expect(render({ engine: 'none' }, { engine: 'webhook', tls: 'public', url: PUBLIC }).manifests[0]).toMatchObject({
      kind: 'MutatingWebhookConfiguration',
    });
  });

  it('may be repeated by props', () => {
    const { manifests } = render({ name: 'mirror', failClosed: false }, { name: 'mirror', failClosed: false });
    expect(manifests[0]).toMatchObject({ metadata: { name: 'mirror' }, spec: { failurePolicy: 'Ignore' } });
  });

  it('exclude the namespaces of both', () => {
    const { manifests } = render({ excludedNamespaces: ['monitoring'] }, { excludedNamespaces: ['own'] });
    const text = JSON.stringify(manifests[0]);
    expect(text).toContain('"monitoring"');
    expect(text).toContain('"own"');
  });

  it.each<[object, Omit<ImageSwapperProps, 'config'>, string]>([
    [{ name: 'a' }, { name: 'b' }, 'props.name: "b" contradicts config.policies.name, which is "a"'],
    [
      { failClosed: true },
      { failClosed: false },
      'props.failClosed: false contradicts config.policies.failClosed, which is true',
    ],
    [
      { url: 'http://a.b.svc:8081' },
      { url: 'http://c.d.svc:8081' },
      'props.url: "http://c.d.svc:8081" contradicts config.policies.url, which is "http://a.b.svc:8081"',
    ],
    [
      { engine: 'kyverno' },
      { engine: 'webhook' },
      'props.engine: "webhook" contradicts config.policies.engine, which is "kyverno"',
    ],
  ])('%j refuse %j and name both', (policies, props, message) => {
    expect(() => render(policies, props)).toThrow(`test/swapper: ${message}: leave one of them out`);
  });

  it.each([
    [{ name: 'No name' }, 'config.policies.name: "No name" must be'],
    [{ name: 5 }, 'config.policies.name: 5 must be a string'],
    [{ url: PUBLIC }, `config.policies.url: "${PUBLIC}" must begin with http://`],
    [{ failClosed: 'yes' }, 'config.policies.failClosed: "yes" must be true or false'],
    [
      { engine: 'opa' },
      'config.policies.engine: "opa" is not one of kyverno, kyverno-clusterpolicy, gatekeeper, webhook, mutatingadmissionpolicy, none',
    ],
    [{ excludedNamespaces: 'a' }, 'config.policies.excludedNamespaces: "a" must be a list'],
    [{ excludedNamespaces: ['a', 'B!'] }, 'config.policies.excludedNamespaces[1]: "B!" must be'],
  ])('%j are refused by the key in the configuration', (policies, message) => {
    expect(() => render(policies)).toThrow(`test/swapper: props.${message}`);
  });

  it('add a webhook for Pods that the API server cannot decide, with undecidable: webhook', () => {
    const config = {
      target,
      imageSwapPolicy: 'always',
      source: { filters: [{ jmespath: 'obj.spec.hostNetwork' }] },
      policies: { engine: 'mutatingadmissionpolicy', undecidable: 'webhook' },
    };
    const kinds = swapper({ config, caBundle: CA }).manifests.map(({ kind }) => kind);
    expect(kinds).toEqual([
      ...['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding', 'MutatingWebhookConfiguration'],
    ]);
    expect(() => swapper({ config })).toThrow(/caBundle: is required under tls "private-ca"/);
    const refusing = { ...config, policies: { ...config.policies, undecidable: 'refuse' } };
    expect(() => swapper({ config: refusing })).toThrow(/config\.source\.filters\[0\].*the API server cannot decide/);
    const unknown = { ...config, policies: { ...config.policies, undecidable: 'guess' } };
    expect(() => swapper({ config: unknown })).toThrow(/config\.policies\.undecidable: "guess" is not one of refuse/);
  });

  it('warn when the service also writes policies', () => {
    expect(render({ manage: true }).construct.warnings).toEqual([
      expect.stringMatching(/^config\.policies\.manage is true: the service writes policies itself/),
    ]);
  });
});
