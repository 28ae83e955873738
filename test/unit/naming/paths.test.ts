import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import { isMirrorName, refusalOf, sourceOf, targetReference } from '../../../extension-service/src/core/naming/name.js';
import { findTarget } from '../../../extension-service/src/core/naming/origin.js';
import { overlappingTargets } from '../../../extension-service/src/core/naming/overlap.js';
import { imagePrefixes } from '../../../extension-service/src/core/naming/target.js';
import type { NamingTarget } from '../../../extension-service/src/core/naming/target.js';
import { namingTarget, targetProblems } from '../../../extension-service/src/kinds/registry-naming.js';
import { legalReferenceText } from '../image/arbitraries.js';
import { checkNaming } from './invariants.js';
import { acrConfig, awsConfig, gcpConfig, ociConfig } from './targets.js';

const PATHS = { 'docker.io': 'docker-hub', 'quay.io': 'a/quay', 'localhost:5000': 'local' };
const caches = [
  { ...awsConfig({}, 'ecr'), paths: PATHS },
  { ...awsConfig({ region: 'cn-north-1', prefix: 'xx' }, 'ecr-prefix'), paths: PATHS },
  { ...gcpConfig({ repositoryId: '' }, 'gar'), paths: PATHS },
  { ...gcpConfig({ location: 'asia' }, 'gar-repository'), paths: PATHS },
  { ...ociConfig({}, 'oci'), paths: PATHS },
  { ...ociConfig({ registry: 'other.example.com', prefix: '/team/' }, 'oci-prefix'), paths: PATHS },
  { ...acrConfig({}, 'acr'), paths: PATHS },
];
const targets = caches.map((target) => namingTarget(target));
const ecr = named('ecr');
const gar = named('gar');
const oci = named('oci');
const ociWithPrefix = named('oci-prefix');
const acr = named('acr');
const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('a target with paths', () => {
  it.each([
    ['nginx:1.27', 'docker-hub/library/nginx:1.27'],
    ['index.docker.io/bitnami/redis', 'docker-hub/bitnami/redis:latest'],
    ['quay.io/prometheus/node-exporter:v1', 'a/quay/prometheus/node-exporter:v1'],
    ['localhost:5000/x/y:1', 'local/x/y:1'],
    [`nginx:1@${digest}`, `docker-hub/library/nginx@${digest}`],
  ])('names %s by the path of its registry', (image, expected) => {
    const name = (target: NamingTarget) => targetReference(target, parseReference(image)).text;
    expect(name(ecr)).toBe(`123456789012.dkr.ecr.eu-central-1.amazonaws.com/${expected}`);
    expect(name(gar)).toBe(`europe-west1-docker.pkg.dev/my-project/${expected}`);
    expect(name(oci)).toBe(`harbor.example.com:5000/${expected}`);
    expect(name(ociWithPrefix)).toBe(`other.example.com/team/${expected}`);
    expect(name(acr)).toBe(`contoso.azurecr.io/${expected}`);
  });

  it('refuses sources without a path, and invalid names for its registry', () => {
    expect(refusalOf(oci, parseReference('ghcr.io/a/b'))).toBe('has no path for ghcr.io');
    expect(refusalOf(oci, parseReference('docker.io:443/a/b'))).toBe('has no path for docker.io:443');
    expect(refusalOf(ecr, parseReference('a/b--c'))).toBe('cannot have a repository docker-hub/a/b--c');
    expect(refusalOf(oci, parseReference('a/b--c'))).toBeUndefined();
    expect(refusalOf(oci, parseReference(`quay.io/${'a'.repeat(240)}`))).toMatch(/^cannot have a repository/);
    expect(() => targetReference(oci, parseReference('ghcr.io/a/b'))).toThrow(RangeError);
  });

  it('contains only images under its paths', () => {
    const find = (image: string) => findTarget([oci], parseReference(image))?.name;
    expect(find('harbor.example.com:5000/docker-hub/library/nginx')).toBe('oci');
    expect(find('harbor.example.com:5000/a/quay/x')).toBe('oci');
    expect(find('harbor.example.com:5000/a/quay2/x')).toBeUndefined();
    expect(find('harbor.example.com:5000/team/app')).toBeUndefined();
    expect(isMirrorName(oci, parseReference('harbor.example.com:5000/docker-hub/library/nginx'))).toBe(true);
    expect(isMirrorName(oci, parseReference('harbor.example.com:5000/team/app'))).toBe(false);
    for (const other of ['docker-hub-private/x', 'a/quay2/x', 'docker-hub'])
      expect(isMirrorName(oci, parseReference(`harbor.example.com:5000/${other}`))).toBe(false);
  });

  it('reads back only its own names', () => {
    const source = (path: string) => sourceOf(oci, parseReference(`harbor.example.com:5000/${path}`));
    expect(source('docker-hub/library/nginx:1')).toMatchObject({ registry: 'docker.io', repository: 'library/nginx' });
    // Docker Hub does not have this repository; the correct name is library/nginx.
    expect(source('docker-hub/nginx:1')).toBeUndefined();
    expect(source('docker.io/library/nginx:1')).toBeUndefined();
  });

  it('gives policies the sorted prefixes of all paths', () => {
    expect(imagePrefixes(ociWithPrefix)).toEqual([
      'other.example.com/team/a/quay/',
      'other.example.com/team/docker-hub/',
      'other.example.com/team/local/',
    ]);
  });

  it('gives valid, reversible and unique names, together with targets for other sources', () => {
    const rest = namingTarget(ociConfig({ registry: 'harbor.example.com:5000' }, 'rest'));
    const all = [...targets, rest];
    expect(overlappingTargets(all)).toEqual([]);
    const registries = fc.constantFrom(...Object.keys(PATHS), 'index.docker.io');
    const mapped = fc
      .tuple(registries, legalReferenceText)
      .map(([registry, text]) => `${registry}/${text.slice(text.indexOf('/') + 1)}`)
      .filter(isReference);
    let taken = 0;
    fc.assert(
      fc.property(fc.array(fc.oneof(mapped, legalReferenceText), { minLength: 10, maxLength: 30 }), (texts) => {
        const owners = new Map<string, string>();
        for (const source of texts.map(parseReference)) {
          for (const target of all) {
            if (refusalOf(target, source) !== undefined) continue;
            if (target.paths !== undefined) taken += 1;
            const { registry, repository } = checkNaming(target, all, source);
            const name = `${registry}/${repository}`;
            const owner = `${target.name} ${source.registry}/${source.repository}`;
            expect(owners.get(name) ?? owner).toBe(owner);
            owners.set(name, owner);
          }
        }
      }),
      { numRuns: 100 },
    );
    expect(taken).toBeGreaterThan(1_000);
  });
});

describe('paths', () => {
  const problems = (paths: Record<string, string>, target = ociConfig()): (string | undefined)[] =>
    targetProblems({ ...target, paths }).map(({ entry, message }) => `${entry ?? ''}: ${message}`);

  it.each<readonly [string, Record<string, string>, string]>([
    ['none', {}, ': is empty'],
    [
      'two registries at one path',
      { 'docker.io': 'a', 'quay.io': '/a/' },
      'quay.io: a is the path of docker.io already',
    ],
    ['a path inside another', { 'docker.io': 'a', 'quay.io': 'a/b' }, 'quay.io: a/b and the path of docker.io, a, are'],
    ['a path around another', { 'docker.io': 'a/b', 'quay.io': 'a' }, 'quay.io: a and the path of docker.io, a/b, are'],
    ['one registry twice', { 'docker.io': 'a', 'index.docker.io': 'b' }, 'index.docker.io: is the same registry as'],
    ['one registry twice, by its case', { 'quay.io': 'a', 'Quay.io': 'b' }, 'Quay.io: is the same registry as quay.io'],
    ['the name of another host', { 'docker.io': 'quay.io' }, 'docker.io: quay.io is where images of quay.io go'],
    [
      'below the name of its host',
      { 'docker.io': 'docker.io/x' },
      'docker.io: docker.io/x is where images of docker.io',
    ],
    ['below a host with a port', { 'docker.io': 'a.b_5000/x' }, 'docker.io: a.b_5000/x is where images of a.b:5000 go'],
    ['the name of a host without a dot', { 'docker.io': 'hub_host' }, 'docker.io: hub_host is where images of hub go'],
    ['a shortened name', { 'docker.io': 'quay.io_short' }, 'docker.io: quay.io_short is where images of quay.io go'],
    ['localhost', { 'docker.io': 'localhost' }, 'docker.io: localhost is where images of localhost go'],
    ['no path', { 'docker.io': '/' }, 'docker.io: is empty'],
    ['capitals', { 'docker.io': 'Hub' }, 'docker.io: "Hub" is not a valid path'],
    ['an empty part', { 'docker.io': 'a//b' }, 'docker.io: "a//b" is not a valid path'],
    ['a tag', { 'docker.io': 'a:b' }, 'docker.io: "a:b" is not a valid path'],
    ['a path that is too long', { 'docker.io': 'a'.repeat(200) }, 'docker.io: host and path leave 30 characters'],
    ['a scheme', { 'https://quay.io': 'a' }, 'https://quay.io: "https://quay.io" has a scheme'],
    ['a repository', { 'docker.io/library': 'a' }, 'docker.io/library: "docker.io/library" has a path'],
    ['a name without a dot', { harbor: 'a' }, 'harbor: "harbor" has neither a dot nor a port: write harbor:443'],
  ])('refuse %s', (_, paths, message) => {
    const [first = '', ...others] = problems(paths);
    expect(others).toEqual([]);
    expect(first.startsWith(message), first).toBe(true);
  });

  it('are checked with the rules of the registry', () => {
    expect(problems({ 'docker.io': 'docker--hub' }, awsConfig())).toEqual([
      expect.stringContaining('not a valid path'),
    ]);
    expect(problems({ 'docker.io': 'docker--hub' })).toEqual([]);
  });

  it('can equal the default names of the registry', () => {
    expect(problems({ 'docker.io': 'docker.io', 'a.b:5000': 'a.b_5000', 'quay.io': 'docker_hub' })).toEqual([]);
  });

  it('replace the repository in Artifact Registry, which is otherwise required', () => {
    const google = gcpConfig({ repositoryId: '' });
    expect(problems({ 'docker.io': 'docker-hub' }, google)).toEqual([]);
    expect(targetProblems(google)).toEqual([
      { key: 'gcp.repositoryId', message: expect.stringContaining('required') as string },
    ]);
  });
});

describe('targets of one registry', () => {
  const at = (name: string, prefix: string, paths?: Record<string, string>) =>
    namingTarget({ ...ociConfig({ prefix }, name), ...(paths !== undefined && { paths }) });
  const hub = at('hub', '', { 'docker.io': 'hub' });

  it.each<readonly [string, NamingTarget, string]>([
    ['beside it', at('rest', 'mirror'), ''],
    ['around it', at('rest', ''), ''],
    ['at another path', at('other', '', { 'quay.io': 'quay' }), ''],
    [
      'inside its path',
      at('rest', 'hub/mirror'),
      'target rest, at harbor.example.com:5000/hub/mirror, is inside the path',
    ],
    ['at its path', at('rest', 'hub'), 'target rest, at harbor.example.com:5000/hub, is inside the path of docker.io'],
    ['with a path inside its path', at('other', 'hub', { 'quay.io': 'x' }), 'overlap: use a separate path'],
    ['with the same path', at('other', '', { 'quay.io': 'hub' }), 'overlap: use a separate path'],
    ['with the same entry', at('other', '', { 'docker.io': 'hub' }), 'overlap: use a separate path'],
  ])('one %s', (_, other, message) => {
    for (const both of [
      [hub, other],
      [other, hub],
    ] as const) {
      expect(overlappingTargets(both).map((overlap) => overlap.message)).toEqual(
        message === '' ? [] : [expect.stringContaining(message)],
      );
    }
  });

  it('do not overlap when a path equals the names of the other target for the same images', () => {
    const rest = at('rest', 'mirror');
    expect(overlappingTargets([rest, at('same', 'mirror', { 'docker.io': 'docker.io' })])).toEqual([]);
    const messages = overlappingTargets([rest, at('other', '', { 'docker.io': 'mirror/quay.io' })]);
    expect(messages.map(({ message }) => message)).toEqual([expect.stringContaining('from quay.io')]);
  });
});

function isReference(text: string): boolean {
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}

function named(name: string): NamingTarget {
  const target = targets.find((one) => one.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  return target;
}
