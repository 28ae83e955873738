import { Testing } from 'cdk8s';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImageSwapper } from '../../../cdk8s/src/index.js';
import type { ImageSwapperProps, SwapperConfig } from '../../../cdk8s/src/index.js';
import { configHash } from '../../../extension-service/src/core/policies/config-hash.js';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { CA } from '../policies/example-options.js';

const config: SwapperConfig = {
  source: { filters: [{ jmespath: "obj.metadata.namespace == 'monitoring'" }] },
  target: { type: 'aws', aws: { accountId: '012345678901', region: 'eu-west-1' } },
  targets: [{ type: 'oci', oci: { registry: 'harbor.example.com:5000', prefix: '/mirror/' } }],
};
const TARGETS = ['harbor.example.com:5000/mirror/', '012345678901.dkr.ecr.eu-west-1.amazonaws.com/'];
const HASH = configHash(["obj.metadata.namespace == 'monitoring'"], TARGETS);

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly [key: string]: unknown;
}

let warnings: string[];
beforeEach(() => {
  warnings = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(String(warning)));
});
afterEach(() => vi.restoreAllMocks());

function swapper(props: Omit<ImageSwapperProps, 'config'> & { readonly config?: unknown }) {
  const chart = Testing.chart();
  const construct = new ImageSwapper(chart, 'swapper', { config, ...props } as ImageSwapperProps);
  return { construct, manifests: Testing.synth(chart) as Manifest[] };
}

describe('ImageSwapper', () => {
  it.each([
    ['kyverno', {}, ['MutatingPolicy', 'NetworkPolicy']],
    ['kyverno-clusterpolicy', { caConfigMap: { name: 'ca', namespace: 'own' } }, ['ClusterPolicy']],
    ['webhook', { caBundle: CA }, ['MutatingWebhookConfiguration']],
    ['gatekeeper', { caBundle: CA }, ['Provider', 'Assign', 'Assign', 'Assign']],
  ] as const)('renders what %s needs, for the targets and filters of the configuration', (engine, props, kinds) => {
    const { manifests } = swapper({ engine, ...props });
    expect(manifests.map(({ kind }) => kind)).toEqual(kinds);
    expect(warnings).toEqual([]);
    const [policy] = manifests;
    const text = JSON.stringify(manifests);
    if (engine === 'gatekeeper') {
      expect(text).toContain('"monitoring"');
      return;
    }
    // The webhook's objects do not contain the targets because no policy checks the webhook's responses.
    for (const target of TARGETS) expect(text.includes(target)).toBe(engine !== 'webhook');
    expect(text).toContain('monitoring');
    expect(policy?.metadata.annotations).toMatchObject({ 'image-swapper.io/config-hash': HASH });
  });

  it('admits only Kyverno to the plain listener', () => {
    const [, guard] = swapper({ engine: 'kyverno' }).manifests;
    expect(guard).toMatchObject({
      metadata: { name: 'image-swapper-plain-http', namespace: 'image-swapper' },
      spec: {
        podSelector: { matchLabels: { 'app.kubernetes.io/name': 'image-swapper' } },
        ingress: [
          {
            from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kyverno' } } }],
            ports: [{ protocol: 'TCP', port: 8081 }],
          },
          {
            ports: [
              { protocol: 'TCP', port: 1, endPort: 8080 },
              { protocol: 'TCP', port: 8082, endPort: 65_535 },
            ],
          },
        ],
      },
    });
  });

  it("returns the required values for the engine's chart", () => {
    expect(swapper({ engine: 'kyverno' }).construct.engineValues).toBeUndefined();
    expect(swapper({ engine: 'webhook', caBundle: CA }).construct.engineValues).toBeUndefined();
    const { engineValues } = swapper({ engine: 'kyverno', tls: 'private-ca', caBundle: CA }).construct;
    const { data } = (engineValues as { admissionController: { caCertificates: { data: string } } }).admissionController
      .caCertificates;
    expect(data.startsWith(CA)).toBe(true);
    // The list contains the public CA certificates, so that Kyverno still trusts public registries.
    expect(data.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(100);
    const gatekeeper = swapper({ engine: 'gatekeeper', caBundle: CA, timeoutSeconds: 4 }).construct.engineValues;
    expect(gatekeeper).toMatchObject({ mutatingWebhookTimeoutSeconds: 6 });
  });

  it("exempts the service's own namespace from Gatekeeper's webhook, whatever its name is", () => {
    const url = 'https://swap.tools.svc:8443';
    const { engineValues } = swapper({ engine: 'gatekeeper', caBundle: CA, url }).construct;
    expect(engineValues).toEqual(gatekeeperChartValues({ serviceNamespace: 'tools' }));
  });

  it('passes on options of a single engine', () => {
    const { manifests } = swapper({ engine: 'gatekeeper', caBundle: CA, ephemeralContainers: true });
    expect(JSON.stringify(manifests)).toContain('spec.ephemeralContainers[name:*].image');
    const [webhook] = swapper({ engine: 'webhook', caBundle: CA, reinvocationPolicy: 'Never' }).manifests;
    expect(webhook).toMatchObject({ webhooks: [{ reinvocationPolicy: 'Never' }] });
  });

  it.each([
    [
      'a plain listener that nothing guards',
      { engine: 'kyverno', networkPolicy: false },
      /networkPolicy is false, so no NetworkPolicy/,
    ],
    ['plain HTTP where TLS costs nothing', { engine: 'kyverno-clusterpolicy', tls: 'plain-http' }, /has no advantage/],
    [
      'Pods that do not start without the service',
      { engine: 'webhook', caBundle: CA, failClosed: true },
      /no Pod starts/,
    ],
    ['an unknown CA', { engine: 'webhook', tls: 'public' }, /is a Service, for which public CAs sign no certificates/],
  ] as const)('warns about %s', (_what, props, message) => {
    const { construct } = swapper(props);
    expect(construct.warnings).toHaveLength(1);
    expect(construct.warnings[0]).toMatch(message);
    expect(warnings).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    [{ engine: 'gatekeeper' }, /swapper: props\.caBundle: is required/],
    [{ engine: 'webhook', tls: 'plain-http' }, /props\.tls: webhook/],
    [{ engine: 'gatekeeper', tls: 'public' }, /props\.tls: gatekeeper/],
    [{ engine: 'kyverno', caBundle: CA }, /props\.caBundle: has no effect under tls "plain-http"/],
    [{ engine: 'kyverno', url: 'https://a.b.svc' }, /props\.url: "https:\/\/a\.b\.svc" must begin with http:\/\//],
    [
      { engine: 'webhook', caConfigMap: { name: 'a', namespace: 'b' } },
      /props\.caConfigMap: is not supported by webhook; set caBundle/,
    ],
    [{ engine: 'kyverno', config: {} }, /props\.config\.target: is required/],
    [
      { engine: 'kyverno', config: { target: { type: 'aws', aws: { accountId: 12345, region: 'eu-west-1' } } } },
      /props\.config\.target\.aws\.accountId: 12345 must be a string/,
    ],
    [
      { engine: 'kyverno', config: { targets: [{ type: 'oci', oci: { registry: 'no registry' } }] } },
      /props\.config\.targets\[0\]\.oci\.registry: .*is not a valid host/,
    ],
    [{ engine: 'kyverno', config: { target: { type: 'oci' } } }, /props\.config\.target\.oci: is required/],
    [
      { engine: 'kyverno', config: { ...config, source: { filters: [{ jmespath: 'a ==' }] } } },
      /swapper: props\.config\.source\.filters\[0\]: "a ==", column/,
    ],
    [
      { engine: 'gatekeeper', caBundle: CA, config: { ...config, source: { filters: [{ jmespath: 'obj.spec.x' }] } } },
      /swapper: props\.config\.source\.filters\[0\]: Gatekeeper cannot decide "obj\.spec\.x"/,
    ],
    [{ engine: 'opa' }, /props\.engine: "opa" is not one of kyverno, /],
    [{ tls: 'foo' }, /props\.tls: "foo" is not one of plain-http, private-ca, public/],
    [{ failClosed: 'true' }, /props\.failClosed: "true" must be true or false/],
    [{ networkPolicy: 'false' }, /props\.networkPolicy: "false" must be true or false/],
    [{ excludedNamespaces: 'x' }, /props\.excludedNamespaces: "x" must be a list/],
    [{ name: 5 }, /props\.name: 5 must be a string/],
    [
      { engine: 'gatekeeper', caBundle: CA, timeoutSeconds: 29 },
      /^test\/swapper: props\.timeoutSeconds: 29 must be at most 28/,
    ],
    [{ engine: 'kyverno', ephemeralContainers: true }, /props\.ephemeralContainers: has no effect under kyverno/],
    [
      { engine: 'gatekeeper', caBundle: CA, ephemeralContainers: 'yes' },
      /props\.ephemeralContainers: "yes" must be true or false/,
    ],
    [
      { engine: 'gatekeeper', caBundle: CA, reinvocationPolicy: 'Never' },
      /props\.reinvocationPolicy: has no effect under gatekeeper/,
    ],
    [
      { engine: 'webhook', caBundle: CA, reinvocationPolicy: 'Sometimes' },
      /props\.reinvocationPolicy: "Sometimes" is not one of IfNeeded, Never/,
    ],
    [{ engine: 'kyverno', timeoutSeconds: 31 }, /props\.timeoutSeconds: 31 must be/],
  ])('refuses %j', (props, message) => {
    expect(() => swapper(props as never)).toThrow(message);
  });
});

describe('copies that requests wait for', () => {
  const target: SwapperConfig['target'] = { oci: { registry: 'harbor.example.com' } };
  it.each<readonly [string, SwapperConfig, number | undefined, number]>([
    ['none', { target }, undefined, 3],
    ['of every target', { target, imageCopyPolicy: 'immediate', imageCopyDeadline: '15s' }, undefined, 17],
    ['of one target', { target: { ...target, imageCopyPolicy: 'force' }, imageCopyDeadline: '15s' }, undefined, 17],
    ['up to the usual deadline', { target, imageCopyPolicy: 'force' }, undefined, 10],
    ['with a timeout by hand', { target, imageCopyPolicy: 'force', imageCopyDeadline: '15s' }, 20, 20],
  ])('%s', (_, config, timeoutSeconds, expected) => {
    const { manifests } = swapper({
      config,
      engine: 'webhook',
      tls: 'public',
      url: 'https://a.example',
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    });
    expect(manifests[0]).toMatchObject({ webhooks: [{ timeoutSeconds: expected }] });
  });

  it('with an invalid deadline stops the synth', () => {
    expect(() =>
      swapper({
        config: { target, imageCopyDeadline: 'soon' },
        engine: 'webhook',
        tls: 'public',
        url: 'https://a.example',
      }),
    ).toThrow('config.imageCopyDeadline: must be a duration such as "8s"');
  });
});

it('warns when Pods may wait for a service whose namespace is unknown', () => {
  const config: SwapperConfig = { target: { oci: { registry: 'harbor.example.com' } } };
  const props = { config, engine: 'webhook', tls: 'public', url: 'https://a.example', failClosed: true } as const;
  expect(swapper(props).construct.warnings.join()).toContain("Add the service's namespace to excludedNamespaces");
  const named = swapper({ ...props, excludedNamespaces: ['tools'] });
  expect(named.construct.warnings.join()).not.toContain('excludedNamespaces');
});
