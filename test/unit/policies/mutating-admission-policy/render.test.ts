import { describe, expect, it } from 'vitest';
import { ENGINES } from '../../../../extension-service/src/core/engines/engines.js';
import { policiesForConfig } from '../../../../extension-service/src/core/engines/for-config.js';
import { renderMutatingAdmission } from '../../../../extension-service/src/core/engines/mutating-admission-policy/admission-policy.js';
import { staticTargets } from '../../../../extension-service/src/core/engines/mutating-admission-policy/static-target.js';
import type { Config } from '../../../../extension-service/src/core/config/model.js';
import { namingTarget } from '../../../../extension-service/src/kinds/registry-naming.js';
import { configOf, ociTarget } from '../../decide/rules-of.js';

const targets = staticTargets(['registry.example.com/mirror/']);

function forConfig(config: Partial<Config>, managed = true) {
  const engine = 'mutatingadmissionpolicy' as const;
  return policiesForConfig(configOf(config), { engine, nameTarget: namingTarget, managed });
}

describe('a MutatingAdmissionPolicy', () => {
  it('has no conditions on images, is evaluated again, and keeps running containers', () => {
    const [policy] = renderMutatingAdmission({ targets });
    expect(policy.spec).not.toHaveProperty('matchConditions');
    expect(policy.spec).toMatchObject({ failurePolicy: 'Ignore', reinvocationPolicy: 'IfNeeded' });
    const rules = policy.spec.matchConstraints.resourceRules.map(({ operations, resources }) => [
      operations,
      resources,
    ]);
    expect(rules).toEqual([
      [['CREATE'], ['pods']],
      [['UPDATE'], ['pods/ephemeralcontainers']],
    ]);
    expect(policy.spec.matchConstraints.namespaceSelector.matchExpressions[0]?.values).toEqual([
      ...['kube-system', 'kube-public', 'kube-node-lease', 'image-swapper'],
    ]);
  });

  it("leaves Istio's placeholder alone, whose name it would otherwise compute", () => {
    const [policy] = renderMutatingAdmission({ targets });
    const places = policy.spec.variables.find(({ name }) => name === 'places');
    expect(places?.expression).toContain('!(c.image in ["", "auto"])');
  });

  it('asks for the platforms of a Pod only for targets that do not hold all of them', () => {
    const always = { imageSwapPolicy: 'always' } as const;
    const expressions = (config: Partial<Config>) => {
      return JSON.stringify(forConfig({ ...always, ...config }, false));
    };
    expect(expressions({})).not.toContain('missesPlatform');
    const limited = expressions({
      targets: [ociTarget('a.test', { platforms: ['linux/amd64'], match: "container.name == 'a'" })],
      target: ociTarget('b.test'),
    });
    expect(limited).toContain('(variables.missesPlatform0 ? \\"\\" : variables.computed0');
    expect(limited).not.toContain('missesPlatform1');
  });

  it('has no binding and no effect in a dry run', () => {
    expect(forConfig({ dryRun: false }).map(({ kind }) => kind)).toContain('MutatingAdmissionPolicyBinding');
    expect(forConfig({ dryRun: true }).map(({ kind }) => kind)).not.toContain('MutatingAdmissionPolicyBinding');
  });

  it('is stored as two objects, each bound under its own name', () => {
    expect(forConfig({}).map(({ kind, metadata: { name } }) => `${kind} ${name}`)).toEqual([
      'MutatingAdmissionPolicy image-swapper',
      'MutatingAdmissionPolicyBinding image-swapper',
      'MutatingAdmissionPolicy image-swapper-recent',
      'MutatingAdmissionPolicyBinding image-swapper-recent',
    ]);
  });

  it.each<readonly [string, Partial<Config>, RegExp]>([
    [
      'a table without a service that keeps it',
      { imageSwapPolicy: 'exists' },
      /^imageSwapPolicy: exists.*policies\.manage: true/,
    ],
    [
      'a target with a table without a service that keeps it',
      { imageSwapPolicy: 'always', target: ociTarget('a.test', { imageSwapPolicy: 'exists' }) },
      /^imageSwapPolicy: exists/,
    ],
  ])('refuses to be printed with %s', (_, config, message) => {
    expect(() => forConfig(config, false)).toThrow(message);
  });

  it('is printed for targets that need no table', () => {
    expect(forConfig({ imageSwapPolicy: 'always' }, false)).toHaveLength(2);
  });

  it('refuses filters that CEL cannot decide, naming their place', () => {
    const { decides } = ENGINES.mutatingadmissionpolicy;
    expect(() =>
      decides.checkFilters?.(["obj.metadata.namespace == 'a'", 'length(obj.spec.containers) > `2`']),
    ).toThrow(/^filters\[1\]: the API server cannot decide "length\(obj/);
    expect(() =>
      decides.checkFilters?.(["starts_with(container.image, 'a')", "obj.metadata.labels.x == 'y'"]),
    ).not.toThrow();
  });

  it('refuses a match that CEL cannot decide, naming its place', () => {
    const { decides } = ENGINES.mutatingadmissionpolicy;
    expect(() =>
      decides.checkMatches?.([{ option: 'targets[1].match', match: "obj.metadata.labels.x == 'y'" }]),
    ).not.toThrow();
    expect(() => decides.checkMatches?.([{ option: 'targets[1].match', match: 'obj.spec.hostNetwork' }])).toThrow(
      /^targets\[1\]\.match: the API server cannot decide/,
    );
  });

  it('refuses filters that are too long for one expression', () => {
    const filter = `contains(\`${JSON.stringify(Array.from({ length: 9_000 }, (_, i) => `namespace-${i}`))}\`, obj.metadata.namespace)`;
    expect(() => renderMutatingAdmission({ targets, filters: [filter] })).toThrow(/^filters\[0\]: the filters up to/);
  });

  it.each([
    ['registry.example.com/mirror/', 'registry.example.com', 'mirror', 'any'],
    ['harbor.example.com:5000/', 'harbor.example.com:5000', '', 'any'],
    [
      '012345678901.dkr.ecr.eu-central-1.amazonaws.com/a/b/',
      '012345678901.dkr.ecr.eu-central-1.amazonaws.com',
      'a/b',
      'single',
    ],
  ])('reads the prefix %s', (prefix, host, path, separators) => {
    expect(staticTargets([prefix])[0]?.naming).toMatchObject({ host, path, separators });
  });
});
