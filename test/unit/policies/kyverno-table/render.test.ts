import { describe, expect, it } from 'vitest';
import { kyverno } from '../../../../extension-service/src/core/engines/kyverno/engine.js';
import { policiesForConfig } from '../../../../extension-service/src/core/engines/for-config.js';
import type { ConfigPolicyOptions } from '../../../../extension-service/src/core/engines/for-config.js';
import type { Config } from '../../../../extension-service/src/core/config/model.js';
import type {
  GlobalContextEntryObject,
  ImageTableDefinitionObject,
  ImageTableObject,
  KyvernoMutatingPolicyObject,
} from '../../../../extension-service/src/core/policies/objects.js';
import { pageNames } from '../../../../extension-service/src/core/engines/kyverno-table/names.js';
import { namingTarget } from '../../../../extension-service/src/kinds/registry-naming.js';
import { configOf, ociTarget } from '../../decide/rules-of.js';
import { crdProblems } from '../crd-schema.js';

const target = { ...ociTarget('mirror.test'), name: 'main' };
const images = { 'docker.io/library/nginx:1': 'mirror.test/docker.io/library/nginx:1' };
const tables = {
  objects: { pages: [{ target: 'main', images }], reload: '7' },
} as unknown as ConfigPolicyOptions['tables'];

function configured(more: Partial<Config> = {}, table = true): Config {
  const config = configOf({ target, ...more });
  return { ...config, policies: { ...config.policies, manage: true, table } };
}

function rendered(config: Config, managed = true) {
  const common = { engine: 'kyverno', nameTarget: namingTarget, managed } as const;
  const objects = policiesForConfig(config, { ...common, ...(tables !== undefined && { tables }) });
  const of = <Kind extends { readonly kind: string }>(kind: Kind['kind']) =>
    objects.find((one) => one.kind === kind) as unknown as Kind | undefined;
  const policy = of<KyvernoMutatingPolicyObject>('MutatingPolicy');
  const variable = (name: string): string | undefined =>
    policy?.spec.variables.find((one) => one.name === name)?.expression;
  return {
    kinds: objects.map(({ kind }) => kind),
    page: of<ImageTableObject>('ImageTable'),
    entry: of<GlobalContextEntryObject>('GlobalContextEntry'),
    definition: of<ImageTableDefinitionObject>('CustomResourceDefinition'),
    ...{ policy, variable },
  };
}

describe('the Kyverno engine with a table', () => {
  it('renders the table, its entry and the policy, in the order in which they need each other', () => {
    const { kinds, page, entry, policy } = rendered(configured());
    expect(kinds).toEqual(['ImageTable', 'GlobalContextEntry', 'MutatingPolicy']);
    expect(page?.metadata.name).toBe('image-swapper-0');
    expect(page?.spec).toMatchObject({ policy: 'image-swapper', target: 'main', images });
    expect(entry?.spec.kubernetesResource).toEqual({
      group: 'image-swapper.io',
      version: 'v1alpha1',
      resource: 'imagetables',
    });
    expect(policy === undefined ? ['none'] : crdProblems(policy)).toEqual([]);
  });

  it('prints the definition of the kind, and the right of Kyverno to read it, for users to apply', () => {
    const { kinds, definition } = rendered(configured(), false);
    expect(kinds).toEqual(['CustomResourceDefinition', 'ClusterRole', 'GlobalContextEntry', 'MutatingPolicy']);
    expect(definition?.metadata.name).toBe('imagetables.image-swapper.io');
  });

  it('selects objects of its own name and hash only, and reads them again when told to', () => {
    const { entry, page } = rendered(configured());
    const [projection] = entry?.spec.projections ?? [];
    expect(projection?.jmesPath).toBe(
      `[?spec.policy == 'image-swapper' && spec.hash == '${page?.spec.hash ?? ''}' && '7' == '7'].{target: spec.target, images: spec.images}`,
    );
  });

  it.each<readonly [string, Partial<Config>]>([
    ['the names in the target change', { target: { ...ociTarget('other.test'), name: 'main' } }],
    ['private images must leave it', { source: { ...configured().source, accessCheck: 'pullSecrets' } }],
  ])('uses another hash when %s', (_, more) => {
    expect(rendered(configured(more)).page?.spec.hash).not.toBe(rendered(configured()).page?.spec.hash);
  });

  it('calls the service only if it asks, and keeps the guard of every answer', () => {
    const { policy, variable } = rendered(configured());
    const expression = policy?.spec.mutations[0]?.jsonPatch.expression ?? '';
    expect(expression).toContain('variables.asks ? (');
    expect(expression).toContain('variables.swaps.map(c, {"path": c.path, "value": c.value})\n).filter(patch,');
    expect(expression).toContain('patch.value.startsWith("mirror.test/")');
    // The table's values pass the same guard before they count as known.
    expect(variable('found')).toContain('v.startsWith("mirror.test/")');
    expect(variable('found')).toContain('v.matches("^[A-Za-z0-9._:/@+-]+$")');
    expect(variable('tables')).toContain('t == null ? dyn([])');
    expect(policy?.spec.matchConditions).toEqual(rendered(configured({}, false)).policy?.spec.matchConditions);
  });

  it.each<readonly [string, Partial<Config>, RegExp]>([
    [
      'a filter that CEL cannot decide, for the Pods that it may concern',
      {
        source: {
          ...configured().source,
          filters: [{ jmespath: "obj.metadata.namespace == 'a' && obj.spec.hostNetwork" }],
        },
      },
      /object\.metadata\.namespace == "a"\)*\) \? "" :/,
    ],
    [
      'a match that CEL cannot decide',
      { targets: [{ ...ociTarget('first.test'), name: 'first', match: "container.name == 'a' && container.stdin" }] },
      /c\.name == "a"\)*\) \? "" :/,
    ],
    [
      'a target whose images are always checked again',
      { target: { ...target, imageCopyPolicy: 'force' } },
      /"value":\n {2}""\}/,
    ],
  ])('asks about %s', (_, more, expected) => {
    expect(rendered(configured(more)).variable('decisions')).toMatch(expected);
  });

  it('asks about a Pod of a platform that a target does not hold', () => {
    expect(rendered(configured()).variable('asks')).not.toContain('nodeSelector');
    const limited = configured({ target: { ...target, platforms: ['linux/amd64'] } });
    expect(rendered(limited).variable('asks')).toContain('p.architecture == architecture');
    expect(rendered(limited).variable('systems')).toContain('object.spec.nodeSelector');
  });

  it('excludes what a filter excludes, and takes the first target that selects an image', () => {
    const { variable } = rendered(
      configured({
        source: { ...configured().source, filters: [{ jmespath: "container.name == 'left'" }] },
        targets: [{ ...ociTarget('first.test'), name: 'first', match: "container.name == 'a'" }],
      }),
    );
    expect(variable('places')).toContain('c.name == "left"');
    expect(variable('decisions')).toMatch(/c\.name == "a"\) \? .*"first".*:\n {2}string\(variables\.found\[\?"main"\]/);
  });

  it('leaves images of other registries to the next target of one with paths', () => {
    const paths = configured({
      targets: [{ ...ociTarget('cache.test'), name: 'cache', paths: { 'quay.io': 'quay' } }],
    });
    expect(rendered(paths).variable('decisions')).toContain('variables.keys[c.image].registry in ["quay.io"] ?');
  });

  it('adds the pull secret and the annotation itself', () => {
    const { variable } = rendered(configured({ pods: { pullSecret: 'harbor', annotate: true } }));
    expect(variable('additions')).toMatch(/^!variables\.asks \? \(size\(variables\.swaps\) == 0 \? dyn\(\{\}\)/);
    expect(variable('additions')).toContain('"pullSecret": "harbor"');
    // The service merges an earlier annotation.
    expect(variable('asks')).toContain('"image-swapper.io/original-images" in object.metadata.annotations');
  });

  it('asks the service about every Pod during a dry run', () => {
    const { policy } = rendered(configured({ dryRun: true }));
    expect(JSON.stringify(policy)).not.toContain('globalContext');
  });

  it('cannot let the service see every Pod', () => {
    const source = { ...configured().source, directTarget: 'refuse' as const };
    const config = configured({ source });
    const failClosed = { ...config, policies: { ...config.policies, failClosed: true } };
    expect(() =>
      policiesForConfig(failClosed, { engine: 'kyverno', nameTarget: namingTarget, failClosed: true }),
    ).toThrow(/table: is true, but source\.directTarget is refuse/);
  });

  it('renders the same policy as before without the table', () => {
    const config = configured({}, false);
    expect(rendered(config).kinds).toEqual(['MutatingPolicy']);
    expect(JSON.stringify(rendered(config).policy)).not.toContain('globalContext');
  });

  it('has names for 40 objects, within the name that RBAC allows', () => {
    const kind = kyverno.withTable?.kinds.find((one) => one.kind === 'ImageTable');
    expect(kind?.names('swap')).toEqual(pageNames('swap'));
    expect(pageNames('swap')).toHaveLength(40);
    expect(pageNames('swap').at(-1)).toBe('swap-39');
  });
});
