import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { grants, snapshotRules } from '../tools/chart/snapshot-rules.js';
import type { Rule } from '../tools/chart/snapshot-rules.js';
import { blocks, read } from '../tools/docs.js';

const NAME = 'image-swapper';

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly Rule[];
}

/** The documented rights that the given rules do not grant: `verb group/resource name`. */
function missing(documented: readonly Rule[], given: readonly Rule[]): string[] {
  return documented.flatMap(({ apiGroups, resources, resourceNames = [undefined], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) =>
          verbs
            .filter((verb) => !grants(given, group, resource, verb, name))
            .map((verb) => `${verb} ${group}/${resource} ${name ?? ''}`),
        ),
      ),
    ),
  );
}

const rights = (page: string): Rule[] =>
  blocks(page, 'yaml').flatMap((text) => {
    const value: unknown = parse(text);
    return Array.isArray(value) ? (value as Rule[]) : [];
  });

/** Splits the rules into single rights, so that their grouping does not matter: `verb group/resource name`. */
function single(rules: readonly Rule[]): string[] {
  return [...new Set(missing(rules, []))].sort();
}

describe('the rights that docs/managed-policies.md lists', () => {
  const documented = rights('docs/managed-policies.md');
  const role = 'ClusterRole image-swapper:image-swapper-policies';

  it.each([
    ['kyverno', 'managed-kyverno', ['policies.kyverno.io']],
    ['table', 'managed-kyverno-table', ['policies.kyverno.io', 'image-swapper.io', 'kyverno.io']],
    ['kyverno-clusterpolicy', 'managed-kyverno-clusterpolicy', ['kyverno.io']],
    ['gatekeeper', 'managed-gatekeeper', ['externaldata.gatekeeper.sh', 'mutations.gatekeeper.sh']],
    ['webhook', 'managed-webhook-ca-bundle', ['admissionregistration.k8s.io']],
    ['mutatingadmissionpolicy', 'managed-mutatingadmissionpolicy', ['admissionregistration.k8s.io']],
    ['undecidable: webhook', 'managed-mutatingadmissionpolicy-webhook', ['admissionregistration.k8s.io']],
  ])('equal the rights in the chart for %s', (_engine, file, groups) => {
    const given = snapshotRules(`test/fixtures/chart/${file}.txt`, role).map((rule) => ({
      ...rule,
      // The docs use another policies.name.
      ...(rule.resourceNames && { resourceNames: rule.resourceNames.map((name) => name.replace(/^swap$/, NAME)) }),
    }));
    const resources = new Set(given.flatMap(({ resources: named }) => named));
    const own = documented.filter(({ resources: [named = ''] }) => resources.has(named));
    expect([...new Set(given.flatMap(({ apiGroups }) => apiGroups))].sort()).toEqual([...groups].sort());
    expect(given.every(({ resourceNames = [] }) => resourceNames.length > 0)).toBe(true);
    expect(single(given)).toEqual(single(own));
  });
});

describe('the rights that docs/certificates.md lists', () => {
  const documented = rights('docs/certificates.md');
  const core = documented.filter(({ apiGroups }) => apiGroups[0] === '');

  it('are in the role that the chart gives by default', () => {
    const roles = parseAllDocuments(read('test/fixtures/chart/defaults.yaml')).map((one) => one.toJS() as Role);
    const given = roles.filter(({ kind }) => kind === 'Role').flatMap(({ rules = [] }) => rules);
    expect(core).toHaveLength(2);
    expect(missing(core, given)).toEqual([]);
  });

  it.each([
    ['gatekeeper', 'externaldata.gatekeeper.sh'],
    ['webhook', 'admissionregistration.k8s.io'],
  ])('are in the role of the chart with %s', (engine, group) => {
    const given = snapshotRules(`test/fixtures/chart/engine-${engine}.txt`, 'ClusterRole image-swapper:image-swapper');
    const own = documented.filter(({ apiGroups }) => apiGroups.includes(group));
    expect(own).toHaveLength(1);
    expect(missing(own, given)).toEqual([]);
  });
});

describe('the rights that docs/operations.md lists', () => {
  /** One string for each right in a table: `verb resource.group name`. */
  const listed = (table: string): string[] =>
    table.split('\n').flatMap((row) => {
      const [, on = '', where = '', verbs = ''] = row.split('|');
      const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
      const [name = ''] = quoted(where);
      return quoted(on).flatMap((resource) => quoted(verbs).map((verb) => `${verb} ${resource} ${name}`.trim()));
    });
  const [, byDefault = '', withReader = ''] =
    read('docs/operations.md')
      .split('<a id="rights"></a>')[1]
      ?.split(/^\|---.*$/m) ?? [];

  it('by default are those that the chart gives by default, no more and no less', () => {
    const given = parseAllDocuments(read('test/fixtures/chart/defaults.yaml'))
      .map((one) => one.toJS() as Role)
      .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
      .flatMap(({ rules = [] }) => rules)
      .flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) =>
            resourceNames.flatMap((name) =>
              verbs.map((verb) => `${verb} ${resource}${group === '' ? '' : `.${group}`} ${name}`.trim()),
            ),
          ),
        ),
      );
    expect(given.length).toBeGreaterThan(20);
    expect(listed(byDefault.split('\n\n')[0] ?? '').sort()).toEqual(given.sort());
  });

  it('with secretReader are those that the chart gives with it, which is off by default', () => {
    const rules = /config\.secretReader\.enabled \}\}(.*?)eq \(include "image-swapper.tlsMode"/s.exec(
      read('extension-service/chart/templates/_rbac.tpl'),
    );
    // Keep only the part of the template that applies without Secret names.
    const plain = (rules?.[1] ?? '').replace(/\{\{- with [^}]*\}\}.*?\{\{- else \}\}/s, '').replace(/\{\{.*?\}\}/g, '');
    const given = [...plain.matchAll(/resources: \[(\w+)\]\s+verbs: \[([^\]]*)\]/g)].flatMap(
      ([, resource = '', verbs = '']) => verbs.split(', ').map((verb) => `${verb} ${resource}`),
    );
    expect(given).toHaveLength(6);
    expect(listed(withReader.split('\n\n')[0] ?? '').sort()).toEqual(given.sort());
    const { secretReader } = parse(read('extension-service/chart/values.yaml')) as {
      readonly secretReader: { readonly enabled: boolean };
    };
    expect(secretReader.enabled).toBe(false);
    for (const page of ['docs/operations.md', 'docs/credentials.md']) {
      expect(read(page).replace(/\s+/g, ' ')).toMatch(/off in the chart by default|in the chart it is off by default/);
    }
  });
});
