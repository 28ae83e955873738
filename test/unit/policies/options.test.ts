import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderGatekeeper } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { renderKyvernoClusterPolicy } from '../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { base64Ascii, normalizeCertificates } from '../../../extension-service/src/core/policies/pem.js';
import { InvalidPolicyOptionError } from '../../../extension-service/src/core/policies/problem.js';
import { CA, HTTPS, pem, TARGETS } from './example-options.js';

const good = { url: HTTPS, targets: TARGETS, caBundle: CA };
type Options = Parameters<typeof renderKyvernoClusterPolicy>[0] & Parameters<typeof renderGatekeeper>[0];
const renderers = [
  { engine: 'kyverno', render: renderKyvernoMutatingPolicy, guarded: true },
  { engine: 'kyverno-clusterpolicy', render: renderKyvernoClusterPolicy, guarded: true },
  { engine: 'gatekeeper', render: renderGatekeeper, guarded: false },
  { engine: 'webhook', render: renderMutatingWebhook, guarded: true },
];

function problem(render: (options: Options) => unknown, options: object): InvalidPolicyOptionError {
  try {
    render({ ...good, ...options });
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) return error;
    throw error;
  }
  throw new Error(`not refused: ${JSON.stringify(options)}`);
}

describe.each(renderers)('options of $engine', ({ render }) => {
  it.each([
    ['name', { name: 'Upper' }],
    ['name', { name: '' }],
    ['name', { name: 'a{{b' }],
    ['url', { url: 'image-swapper.image-swapper.svc:8443' }],
    ['url', { url: 'ftp://a' }],
    ['url', { url: 'https://a:99999' }],
    ['url', { url: 'https://user:password@a' }],
    ['url', { url: 'https://a/?x=1' }],
    ['url', { url: 'https://a/{{ request.object }}' }],
    ['url', { url: 'https://a/"' }],
    ['url', { url: "https://a/'" }],
    ['url', { url: 'https://a/`b`' }],
    ['url', { url: 'https://a\n' }],
    ['timeoutSeconds', { timeoutSeconds: 0 }],
    ['timeoutSeconds', { timeoutSeconds: 31 }],
    ['timeoutSeconds', { timeoutSeconds: 1.5 }],
    ['timeoutSeconds', { timeoutSeconds: Number.NaN }],
    ['excludedNamespaces[1]', { excludedNamespaces: ['a', 'b*'] }],
    ['excludedNamespaces[0]', { excludedNamespaces: ['{{ request.namespace }}'] }],
  ])('refuses a bad %s: %j', (option, options) => {
    const error = problem(render, options);
    expect(error.option).toBe(option);
    expect(error.message).toMatch(/^[a-zA-Z0-9[\].]+: .{10,}/);
  });

  it('excludes the system namespaces and the namespace in the url', () => {
    const text = JSON.stringify(
      render({ ...good, url: 'https://swapper.mirrors.svc.cluster.local:8443', excludedNamespaces: ['own', 'own'] }),
    );
    const lists = [...text.matchAll(/\["kube-system"[^\]]*\]/g)].map(([list]) => JSON.parse(list) as string[]);
    expect(lists.length).toBeGreaterThan(0);
    for (const list of lists) {
      expect(list).toEqual(
        expect.arrayContaining(['kube-system', 'kube-public', 'kube-node-lease', 'image-swapper', 'mirrors', 'own']),
      );
      expect(new Set(list).size).toBe(list.length);
    }
  });
});

describe.each(renderers.filter(({ guarded }) => guarded))('targets of $engine', ({ engine, render }) => {
  it.each([
    ['targets', []],
    ['targets[0]', ['']],
    ['targets[0]', ['/']],
    ['targets[0]', ['registry.example.com']],
    ['targets[0]', ['registry.example.com/mirror']],
    ['targets[0]', ['https://registry.example.com/']],
    ['targets[1]', ['registry.example.com/', 'registry.example.com//']],
    ['targets[0]', ['registry.example.com/../']],
    ['targets[0]', ["registry.example.com/' || 'a' == 'a/"]],
    ['targets[0]', ['registry.example.com/") || true || ("a/']],
    ['targets[0]', ['registry.example.com/`/']],
    ['targets[0]', ['registry.example.com/{{a}}/']],
    ['targets[0]', ['registry.example.com/\n/']],
  ])('refuses bad %s %j', (option, targets) => {
    expect(problem(render, { targets }).option).toBe(option);
  });

  it('accepts any registry, port and path that an image reference can have', () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
    const host = fc.oneof(
      fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.')),
      fc.ipV4(),
    );
    const component = fc.stringMatching(/^[a-z0-9]{1,5}(([._]|__|-{1,3})[a-z0-9]{1,5}){0,2}$/);
    fc.assert(
      fc.property(host, fc.option(fc.nat(65_535)), fc.array(component, { maxLength: 3 }), (name, port, path) => {
        const target = `${[`${name}${port === null ? '' : `:${port}`}`, ...path].join('/')}/`;
        const text = JSON.stringify(render({ ...good, targets: [target] }));
        // The webhook's objects do not contain the targets because no policy checks the webhook's responses.
        if (engine !== 'webhook') expect(text).toContain(target);
      }),
      { numRuns: 50 },
    );
  });
});

describe('options of one engine', () => {
  it('excludes the engine itself', () => {
    expect(JSON.stringify(renderKyvernoMutatingPolicy(good))).toContain('"kyverno"');
    expect(JSON.stringify(renderKyvernoClusterPolicy(good))).toContain('"kyverno"');
    expect(JSON.stringify(renderGatekeeper(good))).toContain('"gatekeeper-system"');
  });

  it.each([
    ['gatekeeper', renderGatekeeper],
    ['webhook', renderMutatingWebhook],
  ])('%s refuses plain HTTP', (_engine, render) => {
    expect(problem(render, { url: 'http://a' }).option).toBe('url');
  });

  it.each([
    ['caConfigMap', { caConfigMap: { name: 'a', namespace: 'b' } }],
    ['caConfigMap.name', { caBundle: undefined, caConfigMap: { name: 'A', namespace: 'b' } }],
    ['caConfigMap.namespace', { caBundle: undefined, caConfigMap: { name: 'a', namespace: 'b.c' } }],
    ['caConfigMap.key', { caBundle: undefined, caConfigMap: { name: 'a', namespace: 'b', key: 'x" }}' } }],
    ['caBundle', { url: 'http://a' }],
    ['caConfigMap', { url: 'http://a', caBundle: undefined, caConfigMap: { name: 'a', namespace: 'b' } }],
    ['annotations["pod-policies.kyverno.io/autogen-controllers"]', { annotations: autogen('all') }],
  ])('ClusterPolicy refuses a bad %s: %j', (option, options) => {
    expect(problem(renderKyvernoClusterPolicy, options).option).toBe(option);
  });

  it.each([
    ['kyverno', renderKyvernoMutatingPolicy],
    ['kyverno-clusterpolicy', renderKyvernoClusterPolicy],
  ])('%s refuses names that are too long for a label', (_engine, render) => {
    expect(problem(render, { name: 'a'.repeat(64) }).message).toMatch(/^name: "a+" must be at most 63 /);
    expect(render({ ...good, name: 'a'.repeat(63) }).metadata.name).toHaveLength(63);
  });

  it('Gatekeeper refuses names that are too long for its objects', () => {
    expect(problem(renderGatekeeper, { name: 'a'.repeat(41) }).option).toBe('name');
    for (const object of renderGatekeeper({ ...good, name: 'a'.repeat(40), ephemeralContainers: true })) {
      expect(object.metadata.name.length).toBeLessThanOrEqual(63);
    }
    expect(problem(renderGatekeeper, { profile: 'a/b' }).option).toBe('profile');
  });
});

describe('caBundle', () => {
  it.each([
    ['no PEM', 'MIIB'],
    ['nothing', ''],
    ['a private key', pem('MIIB', 'PRIVATE KEY')],
    ['a private key beside a certificate', CA + pem('MIIB', 'EC PRIVATE KEY')],
    ['a block without an end', '-----BEGIN CERTIFICATE-----\nMIIB\n'],
    ['an expression', pem('{{ request.object }}')],
  ])('refuses %s', (_what, caBundle) => {
    expect(problem(renderKyvernoClusterPolicy, { caBundle }).option).toBe('caBundle');
    expect(problem(renderMutatingWebhook, { caBundle }).option).toBe('caBundle');
  });

  it('names the forbidden part of a bundle', () => {
    const caBundle = CA + pem('MIIB', 'EC PRIVATE KEY');
    expect(problem(renderMutatingWebhook, { caBundle }).reason).toContain('-----BEGIN EC PRIVATE KEY-----');
  });

  it('keeps only the certificates of a bundle', () => {
    const bundle = `# {{ comment }}\r\n  ${CA.replaceAll('\n', '\r\n  ')}\n\nsubject=x\n${CA}`;
    expect(normalizeCertificates(bundle, 'caBundle')).toBe(CA + CA);
  });

  it('is encoded for any base64 decoder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
        expect(base64Ascii(text)).toBe(Buffer.from(text, 'latin1').toString('base64'));
      }),
    );
  });
});

function autogen(value: string): Record<string, string> {
  return { 'pod-policies.kyverno.io/autogen-controllers': value };
}
