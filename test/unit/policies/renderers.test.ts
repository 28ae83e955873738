import { describe, expect, it } from 'vitest';
import type { Config, TargetConfig } from '../../../extension-service/src/core/config/model.js';
import {
  renderGatekeeper,
  type GatekeeperOptions,
} from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import {
  renderKyvernoClusterPolicy,
  type KyvernoClusterPolicyOptions,
} from '../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import {
  renderKyvernoMutatingPolicy,
  type KyvernoMutatingPolicyOptions,
} from '../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import {
  renderMutatingWebhook,
  type MutatingWebhookOptions,
} from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import type { MutatingWebhookObject } from '../../../extension-service/src/core/policies/objects.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { IMAGE_PLACES } from '../../../extension-service/src/core/decide/image-places.js';
import { DEFAULT_OPERATORS } from '../../../extension-service/src/core/decide/operators.js';
import { policyTargets } from '../../../extension-service/src/core/policies/targets.js';
import { crdProblems } from './crd-schema.js';
import { CA, combinations, HTTPS, TARGETS } from './example-options.js';
import { webhookProblems } from './webhook-schema.js';

const shared = {
  name: [undefined, 'swap-it'],
  failClosed: [undefined, false, true],
  timeoutSeconds: [undefined, 30],
  excludedNamespaces: [undefined, ['own']],
  labels: [undefined, { team: 'platform' }],
  annotations: [undefined, { 'example.com/owner': 'me' }],
};
const targets = [TARGETS.slice(0, 1), TARGETS];
const filters = [undefined, ["obj.metadata.namespace == 'a'", "container.name != 'b'", 'obj.spec.hostNetwork']];

describe('every combination of options renders what the real API stores', () => {
  it('MutatingPolicy', () => {
    const all = combinations<KyvernoMutatingPolicyOptions>({
      ...shared,
      url: [HTTPS, 'http://a:8081/base/'],
      targets,
      filters,
    });
    for (const options of all) expect(crdProblems(renderKyvernoMutatingPolicy(options))).toEqual([]);
    expect(all).toHaveLength(768);
  });

  it('ClusterPolicy', () => {
    for (const ca of [{ caBundle: CA }, { caConfigMap: { name: 'ca', namespace: 'own' } }, {}]) {
      for (const options of combinations<KyvernoClusterPolicyOptions>({ ...shared, url: [HTTPS], targets, filters })) {
        expect(crdProblems(renderKyvernoClusterPolicy({ ...options, ...ca }))).toEqual([]);
      }
    }
  });

  it('Provider and Assign', () => {
    const all = combinations<GatekeeperOptions>({
      ...shared,
      url: [HTTPS],
      caBundle: [CA],
      profile: [undefined, 'eu'],
      ephemeralContainers: [undefined, true],
    });
    for (const options of all) expect(renderGatekeeper(options).flatMap(crdProblems)).toEqual([]);
  });

  it('MutatingWebhookConfiguration', () => {
    const all = combinations<MutatingWebhookOptions>({
      ...shared,
      url: [HTTPS, 'https://swapper.example.com/base'],
      targets,
      filters,
      caBundle: [undefined, CA],
      reinvocationPolicy: [undefined, 'Never'],
    });
    for (const options of all) expect(webhookProblems(renderMutatingWebhook(options))).toEqual([]);
  });

  it('detects a misspelled key or value', () => {
    const { spec, ...mutating } = renderKyvernoMutatingPolicy({ url: HTTPS, targets: TARGETS });
    const { autogen, ...rest } = spec;
    expect(crdProblems({ ...mutating, spec: { ...rest, autoGen: autogen } } as never)).not.toEqual([]);
    expect(crdProblems({ ...mutating, spec: { ...spec, failurePolicy: 'ignore' } } as never)).not.toEqual([]);
    const cluster = renderKyvernoClusterPolicy({ url: HTTPS, targets: TARGETS });
    const [rule] = cluster.spec.rules;
    const rules = [{ ...rule, mutate: { foreach: [{ list: 'a', patchJson6902: 'b' }] } }];
    expect(crdProblems({ ...cluster, spec: { ...cluster.spec, rules } } as never)).not.toEqual([]);
    const [, assign] = renderGatekeeper({ url: HTTPS, caBundle: CA });
    expect(crdProblems({ ...assign, spec: { ...assign?.spec, applyto: [] } } as never)).not.toEqual([]);
    const webhook = renderMutatingWebhook({ url: HTTPS, targets: TARGETS });
    expect(webhookProblems({ ...webhook, webhooks: [{ ...webhook.webhooks[0], timeout: 1 }] })).not.toEqual([]);
  });
});

describe('MutatingPolicy', () => {
  const { spec } = renderKyvernoMutatingPolicy({
    url: 'http://image-swapper.image-swapper.svc:8081',
    targets: TARGETS,
  });

  it('is for Pods only and has its own webhook', () => {
    expect(spec.autogen.podControllers.controllers).toEqual([]);
    expect(spec.webhookConfiguration.timeoutSeconds).toBe(3);
    expect(spec.evaluation.mutateExisting.enabled).toBe(false);
  });

  it('is not evaluated by the background scan, which would call the service for every running Pod', () => {
    expect(spec.evaluation.background.enabled).toBe(false);
    expect(renderKyvernoClusterPolicy({ url: HTTPS, targets: TARGETS }).spec.background).toBe(false);
  });

  it('receives new Pods and new ephemeral containers, and no other update', () => {
    expect(
      spec.matchConstraints.resourceRules.map(({ operations, resources }) => [...operations, ...resources]),
    ).toEqual([
      ['CREATE', 'pods'],
      ['UPDATE', 'pods/ephemeralcontainers'],
    ]);
  });

  it('fails open unless configured otherwise', () => {
    expect(spec.failurePolicy).toBe('Ignore');
    const closed = renderKyvernoMutatingPolicy({ url: HTTPS, targets: TARGETS, failClosed: true });
    expect(closed.spec.failurePolicy).toBe('Fail');
    expect(JSON.stringify(closed.spec.variables)).toContain('no usable answer');
    expect(JSON.stringify(spec.variables)).not.toContain('no usable answer');
  });

  it("avoids the call with Kubernetes' own CEL, the only one that kube-apiserver evaluates", () => {
    for (const { expression } of spec.matchConditions) expect(expression).not.toMatch(/variables\.|http\.|image\(/);
  });

  it('names every target in the condition and in the guard', () => {
    for (const target of TARGETS) {
      const literal = `.startsWith("${target}")`;
      expect(spec.matchConditions.some(({ expression }) => expression.includes(literal))).toBe(true);
      expect(spec.mutations[0]?.jsonPatch.expression).toContain(literal);
    }
  });
});

describe('ClusterPolicy', () => {
  const policy = renderKyvernoClusterPolicy({ url: HTTPS, targets: TARGETS, caBundle: CA });

  it('and MutatingPolicy stay out of the reports of Kyverno, which has two objects for each Pod', () => {
    const labels = { team: 'platform' };
    const ours = { 'app.kubernetes.io/name': 'image-swapper', 'reports.kyverno.io/disabled': 'true' };
    for (const render of [renderKyvernoClusterPolicy, renderKyvernoMutatingPolicy]) {
      expect(render({ url: HTTPS, targets: TARGETS }).metadata.labels).toEqual(ours);
      expect(render({ url: HTTPS, targets: TARGETS, labels }).metadata.labels).toEqual({ ...ours, ...labels });
    }
  });

  it('is for Pods only', () => {
    expect(policy.metadata.annotations).toEqual({ 'pod-policies.kyverno.io/autogen-controllers': 'none' });
  });

  it('sends the request as one string by POST, and evaluates only booleans and numbers of the Pod', () => {
    for (const rule of policy.spec.rules) {
      expect(rule.context).toEqual([
        {
          name: 'swapperAnswer',
          apiCall: {
            method: 'POST',
            data: [{ key: 'request', value: '{{ to_string(request) }}' }],
            service: {
              url: `${HTTPS}/v1/kyverno`,
              headers: [{ key: 'Content-Type', value: 'application/json' }],
              caBundle: CA,
            },
          },
        },
      ]);
      const conditions = [rule.preconditions, ...rule.mutate.foreach.map(({ preconditions }) => preconditions)];
      for (const { key, value } of conditions.flatMap((condition) => condition?.all ?? [])) {
        // Keys are comparisons, or functions that return booleans or numbers.
        expect(key).toMatch(/^\{\{ (?:(?:length|contains)\(.*\)|\(\(.* == '[^']*'\)\)) \}\}$/);
        expect(typeof value).not.toBe('string');
      }
    }
  });

  it('has no matchConditions and has a separate rule for each operation', () => {
    expect(JSON.stringify(policy)).not.toContain('matchConditions');
    expect(policy.spec.rules.map(({ match }) => match.any[0]?.resources)).toEqual([
      { kinds: ['Pod'], operations: ['CREATE'] },
      { kinds: ['Pod/ephemeralcontainers'], operations: ['UPDATE'] },
    ]);
  });

  it('reads the CA from a ConfigMap', () => {
    const caConfigMap = { name: 'ca', namespace: 'own', key: 'bundle.pem' };
    const [rule] = renderKyvernoClusterPolicy({ url: HTTPS, targets: TARGETS, caConfigMap }).spec.rules;
    expect(rule?.context[0]).toEqual({ name: 'swapperCa', configMap: { name: 'ca', namespace: 'own' } });
    expect(JSON.stringify(rule?.context[1])).toContain(JSON.stringify('{{ swapperCa.data."bundle.pem" }}'));
  });

  it.each([
    ['ClusterPolicy', policy],
    ['MutatingPolicy', renderKyvernoMutatingPolicy({ url: HTTPS, targets: TARGETS })],
    ['MutatingWebhookConfiguration', renderMutatingWebhook({ url: HTTPS, targets: TARGETS, caBundle: CA })],
    ['Assign', renderGatekeeper({ url: HTTPS, caBundle: CA })[1]],
  ])('%s repeats no object, which YAML would write as an alias', (_kind, object) => {
    const seen = new Set<object>();
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      expect(seen.has(value)).toBe(false);
      seen.add(value);
      Object.values(value).forEach(visit);
    };
    visit(object);
  });
});

type Client = Partial<MutatingWebhookObject['webhooks'][number]['clientConfig']>;

describe('webhook', () => {
  it.each([
    [HTTPS, { service: { name: 'image-swapper', namespace: 'image-swapper', port: 8443, path: '/webhook' } }],
    ['https://a.b.svc', { service: { name: 'a', namespace: 'b', port: 443, path: '/webhook' } }],
    ['https://a.b.svc.cluster.local/x/', { service: { name: 'a', namespace: 'b', port: 443, path: '/x/webhook' } }],
    ['https://10.0.0.1:8443', { url: 'https://10.0.0.1:8443/webhook' }],
    ['https://[fd00::1]', { url: 'https://[fd00::1]/webhook' }],
    ['https://swapper.example.com/x', { url: 'https://swapper.example.com/x/webhook' }],
  ])('%s has a URL that the API server can resolve', (url, clientConfig) => {
    expect(renderMutatingWebhook({ url, targets: TARGETS }).webhooks[0]?.clientConfig).toEqual(clientConfig);
  });

  it.each([
    [HTTPS, /^"\/webhook\/[0-9a-f]{12}"$/, (config: Client) => config.service?.path],
    ['https://10.0.0.1/x', /^"https:\/\/10\.0\.0\.1\/x\/webhook\/[0-9a-f]{12}"$/, (config: Client) => config.url],
  ])('at %s names the configuration for which it was rendered', (url, expected, addressOf) => {
    const told = (filters: readonly string[]): string => {
      const policy = renderMutatingWebhook({ url, targets: TARGETS, filters });
      const address = JSON.stringify(addressOf(policy.webhooks[0]?.clientConfig ?? {}));
      expect(address).toContain(`${policy.metadata.annotations?.['image-swapper.io/config-hash'] ?? 'none'}"`);
      return address;
    };
    expect(told([])).toMatch(expected);
    expect(told(["obj.metadata.namespace == 'a'"])).not.toBe(told([]));
  });

  it('is called for Pods with any images, because a sidecar may be added later', () => {
    for (const reinvocationPolicy of ['IfNeeded', 'Never'] as const) {
      const [webhook] = renderMutatingWebhook({ url: HTTPS, targets: TARGETS, reinvocationPolicy }).webhooks;
      expect(webhook?.matchConditions.map(({ name }) => name)).toEqual(['not-a-mirror-pod', 'not-opted-out']);
    }
  });

  it('has defaults that never break a Pod', () => {
    const [webhook] = renderMutatingWebhook({ url: HTTPS, targets: TARGETS, caBundle: CA }).webhooks;
    expect(webhook).toMatchObject({ failurePolicy: 'Ignore', sideEffects: 'NoneOnDryRun', timeoutSeconds: 3 });
    expect(Buffer.from(webhook?.clientConfig.caBundle ?? '', 'base64').toString()).toBe(CA);
    expect(webhook?.rules.map(({ operations, resources }) => [...operations, ...resources])).toEqual([
      ['CREATE', 'pods'],
      ['UPDATE', 'pods/ephemeralcontainers'],
    ]);
  });
});

describe('Gatekeeper', () => {
  const [provider, ...assigns] = renderGatekeeper({ url: HTTPS, caBundle: CA });

  it('calls one provider from one Assign per list', () => {
    expect(provider.spec).toMatchObject({ url: `${HTTPS}/v1/gatekeeper`, timeout: 1 });
    expect(Buffer.from(provider.spec.caBundle, 'base64').toString()).toBe(CA);
    expect(assigns.map(({ spec }) => spec.location)).toEqual([
      'spec.containers[name:*].image',
      'spec.initContainers[name:*].image',
      'spec.volumes[name:*].image.reference',
    ]);
    const eu = renderGatekeeper({ url: HTTPS, caBundle: CA, profile: 'eu' })[0];
    expect(eu.spec.url).toBe(`${HTTPS}/v1/gatekeeper/eu`);
  });

  it('runs last, at creation only, on original Pods, and fails open', () => {
    for (const { metadata, spec } of assigns) {
      expect(metadata.name).toMatch(/^zz-/);
      expect(spec.applyTo[0]?.operations).toEqual(['CREATE']);
      expect(spec.match.source).toBe('Original');
      expect(spec.parameters.assign.externalData).toMatchObject({
        provider: provider.metadata.name,
        failurePolicy: 'Ignore',
      });
    }
    const [, closed] = renderGatekeeper({ url: HTTPS, caBundle: CA, failClosed: true });
    expect(closed?.spec.parameters.assign.externalData.failurePolicy).toBe('Fail');
  });

  it('adds an image to no volume that has none: the API server would refuse the Pod', () => {
    for (const { spec } of assigns) {
      expect(spec.parameters.pathTests).toEqual([{ subPath: spec.location, condition: 'MustExist' }]);
    }
  });

  it('leaves Pods of an operator alone that have its label, beside the opt-out', () => {
    const operators = [
      { apiGroup: 'a.test', kind: 'A', label: 'a.test/cr' },
      { apiGroup: 'b.test', kind: 'B', label: 'app=b' },
      { apiGroup: 'c.test', kind: 'C' },
    ];
    const [, ...excluding] = renderGatekeeper({ url: HTTPS, caBundle: CA, pods: { operators } });
    expect(excluding).toHaveLength(assigns.length);
    for (const { spec } of excluding) {
      expect(spec.match.labelSelector?.matchExpressions).toEqual([
        { key: 'image-swapper.io/skip', operator: 'NotIn', values: ['true'] },
        { key: 'a.test/cr', operator: 'DoesNotExist' },
        { key: 'app', operator: 'NotIn', values: ['b'] },
      ]);
    }
  });

  it('handles ephemeral containers in updates when configured', () => {
    const ephemeral = renderGatekeeper({ url: HTTPS, caBundle: CA, ephemeralContainers: true })[3];
    expect(ephemeral?.spec.location).toBe('spec.ephemeralContainers[name:*].image');
    expect(ephemeral?.spec.applyTo[0]?.operations).toEqual(['UPDATE']);
  });
});

describe('source.volumes', () => {
  const render = (volumes: boolean) => {
    const options = { url: HTTPS, caBundle: CA, targets: TARGETS, filters: [], pods: { volumes } };
    return {
      MutatingPolicy: [renderKyvernoMutatingPolicy(options)],
      ClusterPolicy: [renderKyvernoClusterPolicy(options)],
      Gatekeeper: renderGatekeeper(options),
      webhook: [renderMutatingWebhook(options)],
    };
  };
  it('is on by default: both policies of Kyverno apply answers for every place where a Pod names an image', () => {
    const { MutatingPolicy, ClusterPolicy } = render(true);
    const patches = MutatingPolicy[0]?.spec.mutations[0]?.jsonPatch.expression ?? '';
    // The guard of the rule for new Pods is the first of the policy.
    const [, guard = ''] = /regex_match\('(\^\/spec\/[^']+)', path\)/.exec(JSON.stringify(ClusterPolicy)) ?? [];
    for (const { list, key, image } of IMAGE_PLACES) {
      expect(patches).toContain(`"path": "/spec/${list}/" + string(index) + "/${image.join('/')}"`);
      expect(patches).toContain(`variables.images[?"${key}"]`);
      expect(`/spec/${list}/12/${image.join('/')}`).toMatch(new RegExp(guard));
    }
    expect('/spec/volumes/0/image').not.toMatch(new RegExp(guard));
    expect('/spec/volumes/0/image/pullPolicy').not.toMatch(new RegExp(guard));
  });

  it('excludes volumes from the policies and changes their hash', () => {
    const [on, off] = [render(true), render(false)];
    for (const kind of ['MutatingPolicy', 'ClusterPolicy', 'Gatekeeper'] as const) {
      expect(JSON.stringify(on[kind])).toContain('volumes');
      expect(JSON.stringify(off[kind])).not.toContain('volumes');
    }
    const hashes = [...Object.values(on), ...Object.values(off)].map(
      ([policy]) => policy.metadata.annotations?.['image-swapper.io/config-hash'],
    );
    expect(new Set(hashes.slice(0, 4)).size).toBe(2);
    for (const [index, hash] of hashes.slice(0, 4).entries()) expect(hashes[index + 4]).not.toBe(hash);
  });
});

describe('source.operators', () => {
  it('are conditions of every engine that receives Pods, and a configured list changes the hash', () => {
    const options = { url: HTTPS, caBundle: CA, targets: TARGETS, filters: [] };
    for (const render of [renderKyvernoMutatingPolicy, renderKyvernoClusterPolicy, renderMutatingWebhook]) {
      const policy = render({
        ...options,
        caBundle: render === renderKyvernoMutatingPolicy ? (undefined as never) : CA,
        pods: { operators: DEFAULT_OPERATORS },
      });
      for (const { apiGroup } of DEFAULT_OPERATORS) expect(JSON.stringify(policy)).toContain(`${apiGroup}/`);
      const none = render({
        ...options,
        caBundle: render === renderKyvernoMutatingPolicy ? (undefined as never) : CA,
        pods: { operators: [] },
      });
      expect(JSON.stringify(none)).not.toContain('ownerReferences');
      expect(none.metadata.annotations).not.toEqual(policy.metadata.annotations);
    }
  });
});

describe('policyTargets', () => {
  it('returns the prefix of each configured target', () => {
    const oci = (name: string, registry: string, prefix: string): TargetConfig => ({
      name,
      type: 'oci',
      oci: { registry, prefix, insecure: false },
    });
    const config = {
      targets: [oci('eu', 'eu.example.com:5000', 'a/b'), oci('again', 'eu.example.com:5000', 'a/b')],
      target: oci('default', 'registry.example.com', ''),
    };
    const prefixes = policyTargets(config as unknown as Config, namingTarget);
    expect(prefixes).toEqual(['eu.example.com:5000/a/b/', 'registry.example.com/']);
    expect(crdProblems(renderKyvernoMutatingPolicy({ url: HTTPS, targets: prefixes }))).toEqual([]);
  });
});
