import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatReference, parseReference } from '../../../extension-service/src/core/image/reference.js';
import { sourceOf, targetReference } from '../../../extension-service/src/core/naming/name.js';
import { findTarget } from '../../../extension-service/src/core/naming/origin.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import type { NamingTarget } from '../../../extension-service/src/core/naming/target.js';
import { legalReferenceText } from '../image/arbitraries.js';
import { checkNaming, isShort, registryTakes } from './invariants.js';
import { awsConfig, ecr, ecrWithPrefix, everyTarget, gar, oci, ociWithPrefix } from './targets.js';

const hex = '0123456789abcdef'.repeat(4);
const sha256 = `sha256:${hex}`;

function name(target: NamingTarget, image: string): string {
  return targetReference(target, parseReference(image)).text;
}

/** The part of the name below the host and path of the target. */
function below(target: NamingTarget, image: string): string {
  const start = target.path === '' ? `${target.host}/` : `${target.host}/${target.path}/`;
  const text = name(target, image);
  expect(text.startsWith(start)).toBe(true);
  return text.slice(start.length);
}

describe('targetReference of ordinary images equals k8s-image-swapper’s', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['bitnami/redis:7.2', 'docker.io/bitnami/redis:7.2'],
    ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['quay.io/prometheus/node-exporter:v1.8.2', 'quay.io/prometheus/node-exporter:v1.8.2'],
    ['registry.k8s.io/ingress-nginx/controller:v1', 'registry.k8s.io/ingress-nginx/controller:v1'],
    ['ghcr.io/a/b/c/d_e.f-g:Tag_1', 'ghcr.io/a/b/c/d_e.f-g:Tag_1'],
    ['localhost/app', 'localhost/app:latest'],
    ['10.0.0.1/app', '10.0.0.1/app:latest'],
    [`nginx@${sha256}`, `docker.io/library/nginx@${sha256}`],
    [`nginx:1.27@${sha256}`, `docker.io/library/nginx@${sha256}`],
    ['999.dkr.ecr.us-east-1.amazonaws.com/app:1', '999.dkr.ecr.us-east-1.amazonaws.com/app:1'],
  ])('%s', (image, path) => {
    for (const target of [ecr, ecrWithPrefix, gar, oci, ociWithPrefix]) expect(below(target, image)).toBe(path);
    expect(name(ecr, image)).toBe(`123456789012.dkr.ecr.eu-central-1.amazonaws.com/${path}`);
    expect(name(ecrWithPrefix, image)).toBe(`123456789012.dkr.ecr.eu-central-1.amazonaws.com/mirror/${path}`);
    expect(name(gar, image)).toBe(`europe-west1-docker.pkg.dev/my-project/mirror/${path}`);
  });

  it('keeps a digest, with an additional tag that keeps the image', () => {
    const named = targetReference(ecr, parseReference(`nginx:1.27@${sha256}`));
    expect(named).toEqual({
      registry: ecr.host,
      repository: 'docker.io/library/nginx',
      digest: sha256,
      shownAs: sha256,
      published: 'keep-0123456789ab',
      text: `${ecr.host}/docker.io/library/nginx@${sha256}`,
    });
  });
});

describe('targetReference of images whose names are not valid paths', () => {
  it.each([
    ['registry.local:5000/app', 'registry.local_5000/app', 'registry.local_5000/app'],
    ['localhost:5000/app', 'localhost_5000/app', 'localhost_5000/app'],
    ['registry:5000/app', 'registry_5000/app', 'registry_5000/app'],
    ['Intranet/app', 'intranet_host/app', 'intranet_host/app'],
    ['[::1]/app', 'xx1_ipv6/app', 'xx1_ipv6/app'],
    ['[2001:DB8::1]:5000/app', '2001xdb8xx1_ipv6_5000/app', '2001xdb8xx1_ipv6_5000/app'],
    ['a/b__c', 'docker.io_x/a/b_x2_c', 'docker.io/a/b__c'],
    ['a/b--c', 'docker.io_x/a/b-x2-c', 'docker.io/a/b--c'],
    ['a/b---c/x2-x64', 'docker.io_x/a/b-x3-c/xx2-xx64', 'docker.io/a/b---c/x2-x64'],
    ['a/b-x2-c', 'docker.io/a/b-x2-c', 'docker.io/a/b-x2-c'],
    ['a/b-x2-c--d', 'docker.io_x/a/b-xx2-c-x2-d', 'docker.io/a/b-x2-c--d'],
    ['xn--bcher-kva.example/app', 'xn-x2-bcher-kva.example_x/app', 'xn--bcher-kva.example/app'],
    ['xn--bcher-kva.example:80/a__b', 'xn-x2-bcher-kva.example_x_80/a_x2_b', 'xn--bcher-kva.example_80/a__b'],
    ['A--b/c', 'a-x2-b_host_x/c', 'a--b_host/c'],
  ])('%s in ECR and other registries', (image, inEcr, inOci) => {
    expect(below(ecr, `${image}:1`)).toBe(`${inEcr}:1`);
    expect(below(ecrWithPrefix, `${image}:1`)).toBe(`${inEcr}:1`);
    expect(below(gar, `${image}:1`)).toBe(`${inOci}:1`);
    expect(below(oci, `${image}:1`)).toBe(`${inOci}:1`);
  });

  it('shortens long names to their beginning and a hash of the full name', () => {
    const path = `${'team/'.repeat(45)}application`;
    const hash = createHash('sha256').update(`quay.io/${path}`).digest('hex');
    const named = targetReference(ecr, parseReference(`quay.io/${path}:1`));
    expect(named.text.startsWith(`${ecr.host}/quay.io_short/team/team/`)).toBe(true);
    expect(named.text.endsWith(`/${hash}:1`)).toBe(true);
    expect(named.text.length).toBeLessThanOrEqual(255 + ':1'.length);
    expect(registryTakes(ecr, named.repository)).toBe(true);
    expect(sourceOf(ecr, parseReference(named.text))).toBeUndefined();
  });

  it.each([
    ['a path of one part', `quay.io/${'a'.repeat(255)}`],
    ['a long host', `${'a.'.repeat(120)}b/app`],
    ['a very long host', `${'abc.'.repeat(180)}b:5000/app`],
    ['a cut between separators', `quay.io/${'a--b__c'.repeat(36)}`],
    ['a long IPv6 host', `[${'0:'.repeat(150)}1]/app`],
  ])('shortens %s to a valid, stable and unique name', (_name, image) => {
    for (const target of everyTarget) {
      const named = checkNaming(target, everyTarget, parseReference(image));
      expect(isShort(target, named)).toBe(true);
      expect(targetReference(target, parseReference(image))).toEqual(named);
      const neighbor = targetReference(target, parseReference(`${image.slice(0, -1)}d`));
      expect(neighbor.repository).not.toBe(named.repository);
    }
  });

  it('shortens only beyond the limit', () => {
    const room = 255 - `${ecr.host}/quay.io/`.length;
    const fits = targetReference(ecr, parseReference(`quay.io/${'a'.repeat(room)}`));
    const tooLong = targetReference(ecr, parseReference(`quay.io/${'a'.repeat(room + 1)}`));
    expect(isShort(ecr, fits)).toBe(false);
    expect(`${fits.registry}/${fits.repository}`).toHaveLength(255);
    expect(isShort(ecr, tooLong)).toBe(true);
    expect(`${tooLong.registry}/${tooLong.repository}`).toHaveLength(255);
  });
});

describe('regressions of k8s-image-swapper', () => {
  it('does not mirror an image in a target with a prefix again', () => {
    const once = parseReference(name(ecrWithPrefix, 'nginx'));
    expect(findTarget([ecrWithPrefix], once)).toBe(ecrWithPrefix);
  });

  it('puts the prefix into the name of the repository, not into the host', () => {
    const named = targetReference(ecrWithPrefix, parseReference('nginx'));
    expect(named.registry).toBe('123456789012.dkr.ecr.eu-central-1.amazonaws.com');
    expect(named.repository).toBe('mirror/docker.io/library/nginx');
  });

  it('gives a source with a port a valid name', () => {
    for (const target of everyTarget) {
      const named = targetReference(target, parseReference('registry.local:5000/team/app:1'));
      expect(registryTakes(target, named.repository)).toBe(true);
      expect(parseReference(named.text)).toMatchObject({ registry: target.host, repository: named.repository });
    }
  });
});

describe('naming', () => {
  it('keeps its invariants for every valid source in every target', () => {
    fc.assert(
      fc.property(legalReferenceText, fc.constantFrom(...everyTarget), (text, target) => {
        checkNaming(target, everyTarget, parseReference(text));
      }),
      { numRuns: 1500 },
    );
  });

  it('gives different names to different sources and targets', () => {
    fc.assert(
      fc.property(fc.array(legalReferenceText, { minLength: 20, maxLength: 40 }), (texts) => {
        const owners = new Map<string, string>();
        for (const text of texts) {
          const source = parseReference(text);
          for (const target of everyTarget) claim(owners, target, source);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('gives unique names to all short paths of escape characters', () => {
    const registries = ['docker.io', 'a.b', 'a--b.c', 'a-x2-b.c', 'a.b:2', 'a--b.c:2', 'localhost', 'localhost:2'];
    const others = [
      'A',
      'A--b',
      'A-x2-b',
      'X2',
      'a:2',
      'x:2',
      'ipv6:2',
      'x2.c',
      'xx2.c--d',
      '[2]:2',
      '[::2]',
      '[::2]:2',
    ];
    const paths = shortPaths(7);
    expect(paths.length).toBeGreaterThan(1500);
    for (const target of [ecr, oci]) {
      const owners = new Map<string, string>();
      for (const registry of [...registries, ...others]) {
        for (const path of paths) {
          const source = parseReference(`${registry}/${path}`);
          claim(owners, target, source);
          const back = sourceOf(target, targetReference(target, source));
          if (back?.registry !== source.registry || back.repository !== source.repository) {
            expect.fail(`${registry}/${path} cannot be read back`);
          }
        }
      }
      expect(owners.size).toBeGreaterThanOrEqual(20 * paths.length);
    }
  });

  it('begins every name with a host, so that no source overwrites a repository of the registry', () => {
    fc.assert(
      fc.property(legalReferenceText, fc.constantFrom(...everyTarget), (text, target) => {
        const { repository } = targetReference(target, parseReference(text));
        const first = repository.slice(target.path === '' ? 0 : target.path.length + 1).split('/', 1)[0] ?? '';
        expect(first === 'localhost' || /[._]/.test(first)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('sourceOf', () => {
  it('reads a name under any host of the registry', () => {
    const source = parseReference('quay.io/a/b--c:1');
    const { repository } = targetReference(ecrWithPrefix, source);
    for (const registry of [ecrWithPrefix.host, `${ecrWithPrefix.host}:443`, ...ecrWithPrefix.aliases]) {
      expect(sourceOf(ecrWithPrefix, { registry, repository, tag: '1' })).toEqual(source);
    }
  });

  it.each([
    ['another host', 'quay.io/mirror/docker.io/library/nginx'],
    ['another prefix', `${ecrWithPrefix.host}/mirror2/docker.io/library/nginx`],
    ['no prefix', `${ecrWithPrefix.host}/docker.io/library/nginx`],
    ['the prefix alone', `${ecrWithPrefix.host}/mirror`],
    ['a host alone', `${ecrWithPrefix.host}/mirror/docker.io`],
    ['a path of Docker Hub that is none', `${ecrWithPrefix.host}/mirror/docker.io/nginx`],
    ['no host', `${ecrWithPrefix.host}/mirror/team/app`],
    ['an old name of Docker Hub', `${ecrWithPrefix.host}/mirror/index.docker.io/library/nginx`],
    ['a needless escape', `${ecrWithPrefix.host}/mirror/docker.io_x/a/b`],
    ['a run of one', `${ecrWithPrefix.host}/mirror/docker.io_x/a/b-x1-c`],
    ['a run with a leading zero', `${ecrWithPrefix.host}/mirror/docker.io_x/a/b-x02-c`],
    ['a run of three underscores', `${ecrWithPrefix.host}/mirror/docker.io_x/a/b_x3_c`],
    ['an enormous run', `${ecrWithPrefix.host}/mirror/docker.io_x/a/b-x99999999999-c`],
    ['an unknown mark', `${ecrWithPrefix.host}/mirror/docker.io_y/a/b`],
    ['a needless mark', `${ecrWithPrefix.host}/mirror/docker.io_host/a/b`],
    ['a shortened name', `${ecrWithPrefix.host}/mirror/docker.io_short/a/${hex}`],
  ])('finds no source for %s', (_name, image) => {
    expect(sourceOf(ecrWithPrefix, parseReference(image))).toBeUndefined();
  });

  it('returns only sources that have this name', () => {
    const words = fc.constantFrom(
      'docker.io',
      '_x',
      '_ipv6',
      '_host',
      '_2',
      'a',
      'x2',
      '-',
      '--',
      '__',
      '/',
      'xx1',
      '.',
      'short',
    );
    const target = namingTarget(awsConfig());
    fc.assert(
      fc.property(fc.array(words, { minLength: 2, maxLength: 12 }), (parts) => {
        const repository = parts.join('');
        const source = sourceOf(target, { registry: target.host, repository, tag: '1' });
        if (source === undefined) return;
        expect(targetReference(target, source).repository).toBe(repository);
        expect(parseReference(formatReference(source))).toEqual(source);
      }),
      { numRuns: 1500 },
    );
  });
});

/** Fails when another source already has the name. */
function claim(owners: Map<string, string>, target: NamingTarget, source: ReturnType<typeof parseReference>): void {
  const { registry, repository } = targetReference(target, source);
  const owner = `${target.name} ${source.registry}/${source.repository}`;
  const key = `${registry}/${repository}`;
  const other = owners.get(key);
  if (other !== undefined && other !== owner) expect.fail(`${key} is the name of ${other} and of ${owner}`);
  owners.set(key, owner);
}

/** All valid paths up to a maximum length, built from a few characters. */
function shortPaths(longest: number): string[] {
  const paths: string[] = [];
  const extend = (text: string) => {
    if (/^(?!.*(?:___|_-|-_))x(?:.*[x2])?$/.test(text)) paths.push(`n/${text}`);
    if (text.length === longest) return;
    for (const character of text === '' ? 'x' : 'x2-_') extend(text + character);
  };
  extend('');
  return paths;
}
