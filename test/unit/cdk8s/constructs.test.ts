import { App, Chart, Testing } from 'cdk8s';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  GatekeeperMutation,
  KyvernoClusterPolicy,
  KyvernoMutatingPolicy,
  MutatingWebhook,
} from '../../../cdk8s/src/index.js';
import { renderGatekeeper } from '../../../extension-service/src/core/policies/gatekeeper.js';
import { renderKyvernoClusterPolicy } from '../../../extension-service/src/core/policies/kyverno-cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../extension-service/src/core/policies/kyverno-mutating-policy.js';
import { renderMutatingWebhook } from '../../../extension-service/src/core/policies/mutating-webhook.js';
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
beforeEach(() => {
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
    [{ labels: { team: 5 as unknown as string } }, 'props.labels["team"]: 5 must be a text'],
    [
      { labels: { 'UPPER.example.com/team': 'a' } },
      'props.labels["UPPER.example.com/team"]: "UPPER.example.com" must be',
    ],
    [{ labels: { team: 'x'.repeat(64) } }, 'must be at most 63'],
    [{ annotations: { 'a/b/c': 'x' } }, 'props.annotations["a/b/c"]: the key must be'],
    [{ annotations: { a: true as unknown as string } }, 'props.annotations["a"]: true must be a text'],
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
});
