import { App, Chart, Testing } from 'cdk8s';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  GatekeeperMutation,
  KyvernoClusterPolicy,
  KyvernoMutatingPolicy,
  MutatingWebhook,
} from '../../../cdk8s/src/index.js';
import { renderGatekeeper } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { renderKyvernoClusterPolicy } from '../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { CA, HTTPS, TARGETS } from '../policies/example-options.js';

const props = {
  url: HTTPS,
  targets: TARGETS,
  caBundle: CA,
  failClosed: true,
  excludedNamespaces: ['own'],
  labels: { team: 'platform' },
  annotations: { 'example.com/owner': 'me' },
};
let chart: Chart;
let warnings: string[];
afterEach(() => vi.restoreAllMocks());
beforeEach(() => {
  warnings = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(String(warning)));
  chart = new Chart(new App(), 'platform');
});

describe('constructs', () => {
  it.each([
    ['KyvernoMutatingPolicy', KyvernoMutatingPolicy, [renderKyvernoMutatingPolicy(props)]],
    ['KyvernoClusterPolicy', KyvernoClusterPolicy, [renderKyvernoClusterPolicy(props)]],
    ['GatekeeperMutation', GatekeeperMutation, [...renderGatekeeper(props)]],
    ['MutatingWebhook', MutatingWebhook, [renderMutatingWebhook(props)]],
  ])('%s synthesizes what the service itself would print', (_name, Construct, objects) => {
    new Construct(chart, 'policy', props);
    expect(Testing.synth(chart)).toEqual(objects);
  });

  it.each([
    [{ labels: { 'not a key': 'x' } }, 'props.labels["not a key"]: the key must be'],
    [{ labels: { team: 'a b' } }, 'props.labels["team"]: "a b" must be'],
    [{ labels: { team: 5 as unknown as string } }, 'props.labels["team"]: 5 must be a string'],
    [
      { labels: { 'UPPER.example.com/team': 'a' } },
      'props.labels["UPPER.example.com/team"]: "UPPER.example.com" must be',
    ],
    [{ labels: { team: 'x'.repeat(64) } }, 'must be at most 63'],
    [
      { labels: { 'app.kubernetes.io/name': 'other' } },
      'props.labels["app.kubernetes.io/name"]: must stay "image-swapper", because check --online',
    ],
    [{ excludedNamespaces: 'x' as unknown as string[] }, 'props.excludedNamespaces: "x" must be a list'],
    [{ failClosed: 'true' as unknown as boolean }, 'props.failClosed: "true" must be true or false'],
    [{ filters: [null] as unknown as string[] }, 'props.filters[0]: null must be a string'],
    [{ name: 5 as unknown as string }, 'props.name: 5 must be a string'],
    [{ annotations: { 'a/b/c': 'x' } }, 'props.annotations["a/b/c"]: the key must be'],
    [{ annotations: { a: true as unknown as string } }, 'props.annotations["a"]: true must be a string'],
  ])('refuse %j, which the API server would refuse later', (bad, message) => {
    for (const Construct of [KyvernoMutatingPolicy, KyvernoClusterPolicy, GatekeeperMutation, MutatingWebhook])
      expect(() => new Construct(chart, 'policy', { ...props, ...bad })).toThrow(message);
  });

  it('keeps the empty list that turns automatic rules off', () => {
    new KyvernoMutatingPolicy(chart, 'policy', props);
    expect(Testing.synth(chart)[0]).toMatchObject({ spec: { autogen: { podControllers: { controllers: [] } } } });
  });

  it.each([
    [KyvernoMutatingPolicy, { targets: ['registry.example.com'] }, 'platform/policy: props.targets[0]: '],
    [KyvernoClusterPolicy, { caBundle: 'nothing' }, 'platform/policy: props.caBundle: '],
    [GatekeeperMutation, { url: 'http://a' }, 'platform/policy: props.url: '],
    [MutatingWebhook, { timeoutSeconds: 31 }, 'platform/policy: props.timeoutSeconds: '],
  ])('%o names the construct and the prop that it refuses: %j', (Construct, bad, message) => {
    expect(() => new Construct(chart, 'policy', { ...props, ...bad })).toThrow(message);
  });

  const ALL = [KyvernoMutatingPolicy, KyvernoClusterPolicy, GatekeeperMutation, MutatingWebhook];

  it('have no namespace, which cluster-scoped objects cannot have, in a chart with a namespace', () => {
    for (const Construct of ALL) {
      const team = new Chart(Testing.app(), 'platform', { namespace: 'team' });
      new Construct(team, 'policy', props);
      for (const { metadata } of Testing.synth(team))
        expect(Object.keys(metadata as object)).not.toContain('namespace');
    }
  });

  it('refuse a second one with the same name in a chart, and accept it with another name or in another chart', () => {
    for (const Construct of ALL) {
      const app = Testing.app();
      const [production, staging] = [new Chart(app, 'production'), new Chart(app, 'staging')];
      new Construct(production, 'first', props);
      expect(() => new Construct(production, 'second', props)).toThrow(
        /^production\/second(?:\/Provider)?: props\.name: production\/first(?:\/Provider)? already renders a \w+ named image-swapper/,
      );
      new Construct(production, 'third', { ...props, name: 'other' });
      new Construct(staging, 'first', props);
      expect(Testing.synth(production)).not.toEqual([]);
    }
  });

  it('names targets that are missing', () => {
    for (const Construct of [KyvernoMutatingPolicy, KyvernoClusterPolicy, MutatingWebhook]) {
      const bad = { url: HTTPS } as unknown as typeof props;
      expect(() => new Construct(chart, 'policy', bad)).toThrow('props.targets: is missing: must be a list');
    }
  });

  const base = { targets: TARGETS, caBundle: CA, url: HTTPS };
  it.each<[string, typeof KyvernoMutatingPolicy | typeof GatekeeperMutation, object, readonly RegExp[]]>([
    [
      'reports that any client may call it',
      KyvernoMutatingPolicy,
      { url: 'http://a.b.svc' },
      [/plain HTTP: the policy comes with no NetworkPolicy/],
    ],
    ['says the same', KyvernoMutatingPolicy, { url: 'http://a.example' }, [/"http:\/\/a\.example" is not a Service/]],
    ['is quiet over TLS', KyvernoMutatingPolicy, {}, []],
    [
      'would rather have TLS',
      KyvernoClusterPolicy,
      { url: 'http://a.b.svc', caBundle: undefined },
      [/no NetworkPolicy/, /plain HTTP has no advantage/],
    ],
    [
      'lacks a CA certificate',
      KyvernoClusterPolicy,
      { caBundle: undefined },
      [/is a Service, .* Set caConfigMap .*, or caBundle\.$/],
    ],
    ['lacks a CA certificate', MutatingWebhook, { caBundle: undefined }, [/is a Service, .* Set caBundle /]],
    ['accepts a public name', MutatingWebhook, { caBundle: undefined, url: 'https://a.example' }, []],
    ['names the policies that fail closed', MutatingWebhook, { failClosed: true }, [/failClosed: .*no Pod starts/]],
    ['names the policies that fail closed', GatekeeperMutation, { failClosed: true }, [/failClosed: .*no Pod starts/]],
    ['is quiet', GatekeeperMutation, {}, []],
  ])('%s: %o with %j', (_what, Construct, more, expected) => {
    const given = Object.fromEntries(Object.entries({ ...base, ...more }).filter(([, value]) => value !== undefined));
    new Construct(chart, 'policy', given as unknown as typeof props);
    expect(warnings).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) {
      expect(warnings[index]).toMatch(/^platform\/policy: /);
      expect(warnings[index]).toMatch(pattern);
    }
  });
});
