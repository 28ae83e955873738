import { Testing } from 'cdk8s';
import { describe, expect, it } from 'vitest';
import { ImageSwapper, KyvernoMutatingPolicy, MutatingWebhook } from '../../../cdk8s/src/index.js';
import type { ImageSwapperProps } from '../../../cdk8s/src/index.js';
import { CA } from '../policies/example-options.js';

const PATH = '0123456789abcdef0123456789abcdef';
const target = { type: 'oci', oci: { registry: 'harbor.example.com' } };
const url = 'https://image-swapper.image-swapper.svc:8443';
const targets = ['harbor.example.com/'];

function rendered(config: object, props: Partial<ImageSwapperProps>): string {
  const chart = Testing.chart();
  new ImageSwapper(chart, 'swapper', { config: { target, ...config }, ...props } as ImageSwapperProps);
  return JSON.stringify(Testing.synth(chart));
}

const READS = (namespace: string, name: string): string =>
  JSON.stringify(`string(resource.Get("v1", "secrets", "${namespace}", "${name}").data.secret)`);

describe('constructs authenticate callers to the service', () => {
  it.each<readonly [string, object, Partial<ImageSwapperProps>, string]>([
    [
      'a Secret of the configuration',
      { kyverno: { secretName: 'caller' } },
      { engine: 'kyverno' },
      READS('kyverno', 'caller'),
    ],
    [
      'a Secret in another namespace',
      { kyverno: { secretName: 'caller', secretNamespace: 'policies' } },
      { engine: 'kyverno' },
      READS('policies', 'caller'),
    ],
    [
      'a path of the configuration',
      { webhook: { path: PATH } },
      { engine: 'webhook', caBundle: CA },
      `"/webhook/${PATH}/`,
    ],
  ])('by %s', (_, auth, props, expected) => {
    expect(rendered({ auth }, props)).toContain(expected);
    expect(rendered({}, props)).not.toContain(expected);
  });

  it('by the props of the engines', () => {
    const chart = Testing.chart();
    new KyvernoMutatingPolicy(chart, 'policy', { url, targets, callerSecret: { name: 'own', namespace: 'ns' } });
    new MutatingWebhook(chart, 'webhook', { url, targets, caBundle: CA, callerPath: PATH });
    const text = JSON.stringify(Testing.synth(chart));
    expect(text).toContain(READS('ns', 'own'));
    expect(text).toContain(`"path":"/webhook/${PATH}"`);
  });

  it.each<readonly [string, object, RegExp]>([
    ['a path that can be guessed', { webhook: { path: 'short' } }, /auth\.webhook\.path/],
    ['a Secret without a text as its name', { kyverno: { secretName: 1 } }, /auth\.kyverno\.secretName/],
  ])('but not with %s', (_, auth, reason) => {
    expect(() => rendered({ auth }, { engine: 'webhook', caBundle: CA })).toThrow(reason);
  });
});

describe('constructs honor the guards of the configuration', () => {
  const refuse = { source: { directTarget: 'refuse' } };
  it('send every Pod with source.directTarget: refuse', () => {
    const props = { engine: 'webhook', caBundle: CA } as const;
    expect(rendered({}, props)).toContain('not-opted-out');
    const text = rendered(refuse, props);
    expect(text).not.toContain('not-opted-out');
    expect(text).toContain('"reinvocationPolicy":"Never"');
  });

  it.each<readonly [string, object, Partial<ImageSwapperProps>, RegExp]>([
    ['that fails open', refuse, { engine: 'kyverno' }, /config\.source\.directTarget: is refuse/],
    ['of gatekeeper', refuse, { engine: 'gatekeeper', caBundle: CA }, /config\.source\.directTarget: is refuse/],
    [
      'that shows no Pod',
      { source: { accessCheck: 'pullSecrets' } },
      { engine: 'gatekeeper', caBundle: CA },
      /config\.source\.accessCheck: is pullSecrets/,
    ],
    [
      'whatever it is, where the value is unknown',
      { source: { directTarget: 'deny' } },
      { engine: 'webhook', caBundle: CA },
      /config\.source\.directTarget/,
    ],
  ])('refuse a policy %s', (_, config, props, reason) => {
    expect(() => rendered(config, props)).toThrow(reason);
  });
});
