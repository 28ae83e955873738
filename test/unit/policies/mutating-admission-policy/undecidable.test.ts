import { describe, expect, it } from 'vitest';
import type { Config } from '../../../../extension-service/src/core/config/model.js';
import { policyHashes } from '../../../../extension-service/src/core/engines/config-hashes.js';
import { policiesForConfig } from '../../../../extension-service/src/core/engines/for-config.js';
import type { ConfigPolicyOptions } from '../../../../extension-service/src/core/engines/for-config.js';
import type {
  MutatingAdmissionPolicyObject,
  MutatingWebhookObject,
  PolicyObject,
} from '../../../../extension-service/src/core/policies/objects.js';
import { namingTarget } from '../../../../extension-service/src/kinds/registry-naming.js';
import { configOf, ociTarget } from '../../decide/rules-of.js';
import { CA } from '../example-options.js';

/** CEL cannot decide the second one; it concerns only Pods of one namespace. */
const DECIDED = "obj.metadata.labels.tier == 'system'";
const BY_NAME = "container.name == 'left'";
const UNDECIDED = "obj.metadata.namespace == 'play' && obj.spec.hostNetwork";
const IN_PLAY = '(has(object.metadata.namespace) && object.metadata.namespace == "play")';

function configWith(filters: readonly string[], more: Partial<Config> = {}): Config {
  const base = configOf(more);
  return {
    ...base,
    source: { ...base.source, filters: filters.map((jmespath) => ({ jmespath })) },
    policies: { ...base.policies, engine: 'mutatingadmissionpolicy', undecidable: 'webhook', manage: true },
  };
}

function objectsFor(config: Config, options: Partial<ConfigPolicyOptions> = {}): readonly PolicyObject[] {
  return policiesForConfig(config, {
    ...{ engine: 'mutatingadmissionpolicy', nameTarget: namingTarget, managed: true },
    ...options,
  });
}

function webhookIn(objects: readonly PolicyObject[]): MutatingWebhookObject['webhooks'][0] | undefined {
  return objects.find((object): object is MutatingWebhookObject => object.kind === 'MutatingWebhookConfiguration')
    ?.webhooks[0];
}

function conditionsOf(objects: readonly PolicyObject[]): Readonly<Record<string, string>> {
  const conditions = webhookIn(objects)?.matchConditions ?? [];
  return Object.fromEntries(conditions.map(({ name, expression }) => [name, expression]));
}

function variablesOf(objects: readonly PolicyObject[], name: string): readonly (string | undefined)[] {
  return objects
    .filter((object): object is MutatingAdmissionPolicyObject => object.kind === 'MutatingAdmissionPolicy')
    .map(({ spec }) => spec.variables.find((variable) => variable.name === name)?.expression);
}

describe('policies.undecidable: webhook', () => {
  it('adds no webhook while CEL can decide everything', () => {
    expect(objectsFor(configWith([DECIDED, BY_NAME])).map(({ kind }) => kind)).toEqual([
      ...['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding'],
      ...['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding'],
    ]);
    // A filter that is never true concerns no Pod.
    expect(webhookIn(objectsFor(configWith(['`false` && obj.spec.hostNetwork'])))).toBeUndefined();
  });

  it('leaves images that a filter may affect to the webhook, in both policies', () => {
    const objects = objectsFor(configWith([DECIDED, BY_NAME, UNDECIDED]));
    const places = variablesOf(objects, 'places');
    expect(places).toHaveLength(2);
    for (const text of places) {
      expect(text).toContain(`&& !${IN_PLAY}`);
      expect(text).toContain('&& !(has(c.name) && c.name == "left")');
    }
    const conditions = conditionsOf(objects);
    expect(Object.keys(conditions)).toEqual([
      ...['not-a-mirror-pod', 'not-opted-out', 'filter-1', 'has-undecided-image'],
    ]);
    expect(conditions['has-undecided-image']).toContain(`&& (${IN_PLAY}))`);
    expect(conditions['has-undecided-image']).toContain('|| (has(c.name) && c.name == "left"))');
  });

  it('sends every Pod with an image outside the targets for a filter that CEL cannot express', () => {
    const conditions = conditionsOf(objectsFor(configWith(['obj.spec.hostNetwork'])));
    expect(conditions['has-undecided-image']).toMatch(/c\.image\.startsWith\("mirror\.test\/"\)/);
    expect(conditions['has-undecided-image']).toContain('&& (true))');
  });

  it('leaves the images that a match may select to the webhook, and skips the target for all others', () => {
    const match = "container.name == 'special' && length(obj.spec.containers) == `1`";
    const config = configWith([], { targets: [ociTarget('special.test', { match })] });
    const objects = objectsFor(config);
    const special = '(has(c.name) && c.name == "special")';
    expect(variablesOf(objects, 'places')[0]).toContain(`&& !${special}`);
    expect(variablesOf(objects, 'swaps')[0]).toMatch(/"value":\n {2}false \? ""/);
    expect(conditionsOf(objects)['has-undecided-image']).toContain(`&& (${special}))`);
  });

  it('is guarded like the engine webhook: it fails open, and has its route, path, CA and hash', () => {
    const config = configWith([UNDECIDED], { auth: { ...configOf().auth, webhook: { path: 'a-secret-path-1234' } } });
    const objects = objectsFor(config, { caBundle: CA, excludedNamespaces: ['monitoring'] });
    const { webhook: hash } = policyHashes(config, namingTarget);
    expect(webhookIn(objects)).toMatchObject({
      failurePolicy: 'Ignore',
      sideEffects: 'NoneOnDryRun',
      timeoutSeconds: 3,
      clientConfig: {
        service: { namespace: 'image-swapper', path: `/webhook/a-secret-path-1234/${hash}` },
        caBundle: expect.any(String) as string,
      },
      namespaceSelector: {
        matchExpressions: [
          { values: expect.arrayContaining(['kube-system', 'image-swapper', 'monitoring']) as string[] },
        ],
      },
    });
    expect(webhookIn(objectsFor(config, { failClosed: true }))?.failurePolicy).toBe('Fail');
  });

  it('has the timeout of the copies that a Pod may wait for', () => {
    const config = configWith([UNDECIDED], { imageCopyPolicy: 'immediate', imageCopyDeadline: 8_000 });
    expect(webhookIn(objectsFor(config))?.timeoutSeconds).toBe(10);
  });

  it('is printed together with a policy that computes names', () => {
    const config = configWith([UNDECIDED], { imageSwapPolicy: 'always' });
    const printed = objectsFor({ ...config, policies: { ...config.policies, manage: false } }, { managed: false });
    expect(printed.map(({ kind }) => kind)).toEqual([
      ...['MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding', 'MutatingWebhookConfiguration'],
    ]);
    expect(() => objectsFor(config, { url: 'http://image-swapper.image-swapper.svc:8081' })).toThrow(/url.*https/);
  });

  it('refuses the filter with refuse, and names the choice', () => {
    const config = configWith([UNDECIDED]);
    const refusing = { ...config, policies: { ...config.policies, undecidable: 'refuse' as const } };
    expect(() => objectsFor(refusing)).toThrow(/^filters\[0\]: the API server cannot decide.*policies\.undecidable/);
  });

  it('still allows no computed names for images that only some Pods may read', () => {
    const config = configWith([UNDECIDED], { imageSwapPolicy: 'always' });
    const closed = { ...config, source: { ...config.source, accessCheck: 'pullSecrets' as const } };
    expect(() => objectsFor(closed)).toThrow(/^source\.accessCheck: is pullSecrets/);
  });
});
