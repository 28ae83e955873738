import { describe, expect, it } from 'vitest';
import { configHash, gatekeeperProfile } from '../../../../extension-service/src/core/policies/config-hash.js';
import { renderGatekeeper } from '../../../../extension-service/src/core/policies/gatekeeper.js';
import { gatekeeperFilters } from '../../../../extension-service/src/core/policies/pushdown/gatekeeper-match.js';
import { crdProblems } from '../crd-schema.js';
import { CA, HTTPS } from '../example-options.js';

const SKIP = { key: 'image-swapper.io/skip', operator: 'NotIn', values: ['true'] };

describe("filters in Gatekeeper's match", () => {
  it.each([
    ["obj.metadata.namespace == 'a'", { excludedNamespaces: ['a'], labels: [SKIP] }],
    ["obj.metadata.namespace != 'a'", { namespaces: ['a'], excludedNamespaces: [], labels: [SKIP] }],
    ["starts_with(obj.metadata.namespace, 'dev-')", { excludedNamespaces: ['dev-*'], labels: [SKIP] }],
    ["ends_with(obj.metadata.namespace, '-dev')", { excludedNamespaces: ['*-dev'], labels: [SKIP] }],
    ["contains(obj.metadata.namespace, 'x')", { excludedNamespaces: ['*x*'], labels: [SKIP] }],
    ['contains(`["a","b"]`, obj.metadata.namespace)', { excludedNamespaces: ['a', 'b'], labels: [SKIP] }],
    [
      "obj.metadata.labels.app == 'x' || obj.metadata.namespace == 'a'",
      { excludedNamespaces: ['a'], labels: [SKIP, { key: 'app', operator: 'NotIn', values: ['x'] }] },
    ],
    [
      "obj.metadata.labels.app != 'x'",
      { excludedNamespaces: [], labels: [SKIP, { key: 'app', operator: 'In', values: ['x'] }] },
    ],
    [
      'obj.metadata.labels.app != null',
      { excludedNamespaces: [], labels: [SKIP, { key: 'app', operator: 'DoesNotExist' }] },
    ],
  ])('%s', (filter, match) => {
    expect(gatekeeperFilters([filter])).toEqual({ matches: [match], matched: [0] });
  });

  it.each([
    [
      ["obj.metadata.namespace == 'a' && obj.metadata.labels.app == 'x'"],
      [
        { excludedNamespaces: ['a'], labels: [SKIP] },
        { excludedNamespaces: [], labels: [SKIP, { key: 'app', operator: 'NotIn', values: ['x'] }] },
      ],
    ],
    [
      ["!(obj.metadata.namespace != 'a' && obj.metadata.namespace != 'b')"],
      [{ excludedNamespaces: ['a', 'b'], labels: [SKIP] }],
    ],
    [
      ["obj.metadata.namespace != 'a' && obj.metadata.namespace != 'b'"],
      [
        { namespaces: ['a'], excludedNamespaces: [], labels: [SKIP] },
        { namespaces: ['b'], excludedNamespaces: [], labels: [SKIP] },
      ],
    ],
    // Of the four ways, two are narrower than others.
    [
      [
        "obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2'",
        "obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2'",
      ],
      [
        { excludedNamespaces: [], labels: [SKIP, { key: 'a', operator: 'NotIn', values: ['1'] }] },
        { excludedNamespaces: [], labels: [SKIP, { key: 'b', operator: 'NotIn', values: ['2'] }] },
      ],
    ],
    // What both lists take: the one name.
    [
      ["!contains(`[\"a\", \"b\"]`, obj.metadata.namespace)", "!starts_with(obj.metadata.namespace, 'a')"],
      [{ namespaces: ['a'], excludedNamespaces: [], labels: [SKIP] }],
    ],
    // No pattern says both, and no Pod is both.
    [["!starts_with(obj.metadata.namespace, 'a')", "!ends_with(obj.metadata.namespace, 'b')"], undefined],
    [["obj.metadata.namespace != 'a'", "obj.metadata.namespace != 'b'"], undefined],
    // 3 × 3 ways.
    [
      [
        "obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2' && obj.metadata.labels.c == '3'",
        "obj.metadata.labels.d == '1' && obj.metadata.labels.e == '2' && obj.metadata.labels.f == '3'",
      ],
      undefined,
    ],
  ])('%j takes a mutator for each way in which no filter holds', (filters, matches) => {
    if (matches === undefined) expect(() => gatekeeperFilters(filters)).toThrow(/Gatekeeper cannot decide/);
    else expect(gatekeeperFilters(filters)).toEqual({ matches, matched: filters.map((_, index) => index) });
  });

  it('says of a row of mutators which configuration it is of, so that one that is left over asks for nothing', () => {
    const filters = ["obj.metadata.namespace == 'a' && obj.metadata.labels.app == 'x'"];
    const [provider, ...assigns] = renderGatekeeper({ url: HTTPS, caBundle: CA, filters, ephemeralContainers: true });
    expect(provider.metadata.name).toBe(`image-swapper-${configHash(filters, [])}`);
    expect(assigns.map(({ metadata }) => metadata.name)).toEqual([
      'zz-image-swapper-containers-1',
      'zz-image-swapper-containers-2',
      'zz-image-swapper-initcontainers-1',
      'zz-image-swapper-initcontainers-2',
      'zz-image-swapper-ephemeralcontainers-1',
      'zz-image-swapper-ephemeralcontainers-2',
    ]);
    for (const assign of assigns) {
      expect(assign.spec.parameters.assign.externalData.provider).toBe(provider.metadata.name);
      expect(crdProblems(assign)).toEqual([]);
    }
    const name = 'a'.repeat(39);
    expect(() => renderGatekeeper({ url: HTTPS, caBundle: CA, filters, name })).toThrow(/^name: /);
  });

  it('leaves what is about the image to the service', () => {
    const filters = ["contains(container.image, 'ecr')", "obj.metadata.namespace == 'a'"];
    expect(gatekeeperFilters(filters).matched).toEqual([1]);
  });

  it.each([
    "obj.metadata.namespace == 'a' && obj.metadata.annotations.app == 'x'",
    "obj.metadata.annotations.skip == 'x'",
    "container.name == 'istio-proxy'",
    'obj.spec.hostNetwork',
    "starts_with(obj.metadata.labels.app, 'x')",
    "obj.metadata.labels.app == 'not a label value'",
    "obj.metadata.namespace != 'a' && `true` || obj.metadata.namespace != 'b'",
  ])('%s is refused with the choices, never dropped', (filter) => {
    expect(() => renderGatekeeper({ url: HTTPS, caBundle: CA, filters: ["contains(container.image, 'x')", filter] })).toThrow(
      /^filters\[1\]: Gatekeeper cannot decide .*write it as conditions on the namespace and labels, .*another engine/,
    );
  });

  it('tells the service, by the address that it calls, which filters are decided', () => {
    const filters = ["obj.metadata.namespace == 'a'"];
    const objects = renderGatekeeper({ url: HTTPS, caBundle: CA, filters });
    expect(objects[0].spec.url).toBe(`${HTTPS}/v1/gatekeeper/${gatekeeperProfile(filters)}`);
    for (const object of objects) {
      expect(object.metadata.annotations).toEqual({ 'image-swapper.io/config-hash': configHash(filters, []) });
      expect(crdProblems(object)).toEqual([]);
    }
    expect(() => renderGatekeeper({ url: HTTPS, caBundle: CA, filters, profile: 'eu' })).toThrow(/^profile: cannot/);
  });
});

describe('the hash of a configuration', () => {
  it('changes with filters, their order, and targets, and takes any text', () => {
    const hashes = [
      configHash([], []),
      configHash(['a', 'b'], []),
      configHash(['b', 'a'], []),
      configHash(['a'], ['b']),
      configHash(['añ😀'], []),
      configHash(['an😀'], []),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{12}$/);
  });
});
