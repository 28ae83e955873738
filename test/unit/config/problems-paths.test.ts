import { describe, expect, it } from 'vitest';
import { parse, problemsOf, warningsOf } from './parsing.js';

const registry = '  oci: {registry: registry.example.com}\n';

describe('paths of a target', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'each wrong entry at its line',
      '  paths:\n    docker.io: quay.io\n    quay.io: Quay\n    harbor: a\n    ghcr.io: b\n    gcr.io: b/c\n    index.docker.io: d\n',
      [
        "4:16: target.paths.docker.io: quay.io is where images of quay.io go: choose a path that is not a host's name",
        '5:14: target.paths.quay.io: "Quay" is not a valid path: lower-case letters and digits, with . _ __ or - between them, in parts separated by /',
        '6:13: target.paths.harbor: "harbor" has neither a dot nor a port: write harbor:443',
        '8:13: target.paths.gcr.io: b/c and the path of ghcr.io, b, are inside each other',
      ],
    ],
    [
      'an alias beside its registry',
      '  paths:\n    docker.io: a\n    index.docker.io: b\n',
      ['5:22: target.paths.index.docker.io: is the same registry as docker.io'],
    ],
    ['no entry', '  paths: {}\n', ['3:3: target.paths: is empty, so the target gets no images: add a registry']],
    [
      'a list',
      '  paths: [docker.io]\n',
      ['3:3: target.paths: is a list, not a mapping: each entry is key: value; expected a path such as docker-hub'],
    ],
    [
      'a number and nothing as a path',
      '  paths:\n    docker.io: 5\n    quay.io:\n',
      [
        '4:16: target.paths.docker.io: is a number, not a string: write it in quotes: "5"',
        '5:13: target.paths.quay.io: is empty: expected a path such as docker-hub',
      ],
    ],
  ])('are refused with %s', (_, lines, expected) => {
    expect(problemsOf(`target:\n${registry}${lines}`)).toEqual(expected);
  });

  it('are refused where another target of the registry has the same names', () => {
    const targets = (path: string, prefix: string): string =>
      `targets:\n  - name: cache\n    oci: {registry: registry.example.com}\n    paths: {docker.io: ${path}}\ntarget:\n  oci: {registry: registry.example.com, prefix: ${prefix}}\n`;
    expect(problemsOf(targets('hub', 'mirror'))).toEqual([]);
    expect(problemsOf(targets('hub', '""'))).toEqual([]);
    expect(problemsOf(targets('hub', 'hub'))).toEqual([
      '2:5: targets[0]: target default, at registry.example.com/hub, is inside the path of docker.io in target cache: choose another path',
    ]);
  });

  it('let a target without match be followed by others', () => {
    const cache = '  - {name: cache, oci: {registry: a.example.com}, paths: {docker.io: hub}}\n';
    const loaded = parse(`targets:\n${cache}target:\n${registry}`);
    expect(warningsOf(loaded).filter((warning) => warning.includes('accepts everything'))).toEqual([]);
    expect(loaded.config.targets[0]?.paths).toEqual({ 'docker.io': 'hub' });
    expect(loaded.origins.get('targets[0].paths.docker.io')).toBe('image-swapper.yaml:2');
  });

  it('keep the case of their keys in the file of k8s-image-swapper', () => {
    const text = `target:\n  type: aws\n  aws: {accountId: "123456789012", region: eu-central-1}\n  paths: {docker.io: hub}\n`;
    expect(parse(text, { file: '.k8s-image-swapper.yaml' }).config.target?.paths).toEqual({ 'docker.io': 'hub' });
  });
});
