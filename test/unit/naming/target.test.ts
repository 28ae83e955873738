import { describe, expect, it } from 'vitest';
import type { TargetConfig } from '../../../extension-service/src/core/config/model.js';
import { isEcrHost } from '../../../extension-service/src/kinds/aws/naming-hosts.js';
import {
  InvalidTargetError,
  isLegalRepository,
  maxSourceLength,
} from '../../../extension-service/src/core/naming/target.js';
import { namingTarget, targetProblems } from '../../../extension-service/src/kinds/registry-naming.js';
import { awsConfig, ecr, everyTarget, gcpConfig, oci, ociConfig } from './targets.js';

describe('namingTarget', () => {
  it.each<[TargetConfig, string, string]>([
    [awsConfig(), '123456789012.dkr.ecr.eu-central-1.amazonaws.com', ''],
    [awsConfig({ prefix: '/mirror/' }), '123456789012.dkr.ecr.eu-central-1.amazonaws.com', 'mirror'],
    [awsConfig({ prefix: '//a/b//' }), '123456789012.dkr.ecr.eu-central-1.amazonaws.com', 'a/b'],
    [awsConfig({ accountId: '012345678' }), '012345678.dkr.ecr.eu-central-1.amazonaws.com', ''],
    [awsConfig({ region: 'cn-north-1' }), '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn', ''],
    [awsConfig({ region: 'us-gov-west-1' }), '123456789012.dkr.ecr.us-gov-west-1.amazonaws.com', ''],
    [awsConfig({ region: 'us-iso-east-1' }), '123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov', ''],
    [awsConfig({ region: 'us-isob-east-1' }), '123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov', ''],
    [awsConfig({ region: 'us-isof-south-1' }), '123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov', ''],
    [awsConfig({ region: 'eu-isoe-west-1' }), '123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk', ''],
    [awsConfig({ region: 'eusc-de-east-1' }), '123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu', ''],
    [gcpConfig(), 'europe-west1-docker.pkg.dev', 'my-project/mirror'],
    [gcpConfig({ projectId: 'example.com:proj' }), 'europe-west1-docker.pkg.dev', 'example.com/proj/mirror'],
    [ociConfig(), 'harbor.example.com:5000', ''],
    [ociConfig({ registry: 'Harbor.Example.com', prefix: '/a/b/' }), 'harbor.example.com', 'a/b'],
    [ociConfig({ registry: 'index.docker.io', prefix: 'org' }), 'docker.io', 'org'],
    [ociConfig({ registry: '[::1]:5000' }), '[::1]:5000', ''],
  ])('%#', (config, host, path) => {
    expect(namingTarget(config)).toMatchObject({ host, path });
  });

  it.each([
    [
      'eu-central-1',
      [
        '123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com',
        '123456789012.dkr-ecr.eu-central-1.on.aws',
        '123456789012.dkr-ecr-fips.eu-central-1.on.aws',
      ],
    ],
    [
      'us-gov-west-1',
      [
        '123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com',
        '123456789012.dkr-ecr.us-gov-west-1.on.aws',
        '123456789012.dkr-ecr-fips.us-gov-west-1.on.aws',
      ],
    ],
    [
      'cn-north-1',
      [
        '123456789012.dkr.ecr-fips.cn-north-1.amazonaws.com.cn',
        '123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn',
        '123456789012.dkr-ecr-fips.cn-north-1.on.amazonwebservices.com.cn',
      ],
    ],
    ['us-iso-east-1', ['123456789012.dkr.ecr-fips.us-iso-east-1.c2s.ic.gov']],
  ])('recognizes the other hosts of ECR in %s', (region, aliases) => {
    const target = namingTarget(awsConfig({ region }));
    expect(target.aliases).toEqual(aliases);
    expect([target.host, ...target.aliases].every(isEcrHost)).toBe(true);
  });

  it.each([
    ['standard', '123456789012.dkr.ecr.eu-central-1.amazonaws.com'],
    ['fips', '123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com'],
    ['dual-stack', '123456789012.dkr-ecr.eu-central-1.on.aws'],
    ['fips-dual-stack', '123456789012.dkr-ecr-fips.eu-central-1.on.aws'],
  ] as const)('names images with the %s host, and still recognizes the others', (endpoint, host) => {
    const target = namingTarget(awsConfig({ endpoint }));
    expect(target.host).toBe(host);
    const usual = namingTarget(awsConfig());
    expect(new Set([target.host, ...target.aliases])).toEqual(new Set([usual.host, ...usual.aliases]));
  });

  it('applies ECR’s limits to an ECR registry that is configured as oci', () => {
    const target = namingTarget(ociConfig({ registry: ecr.host }));
    expect(target).toMatchObject({ repositoryLimit: 256, separators: 'single', wholeRegistry: false });
  });

  it.each<[string, TargetConfig, string]>([
    ['a host that would read as a path', ociConfig({ registry: 'harbor' }), 'oci.registry'],
    ['a URL', ociConfig({ registry: 'https://harbor.example.com' }), 'oci.registry'],
    ['a host with a path', ociConfig({ registry: 'harbor.example.com/mirror' }), 'oci.registry'],
    ['no host', ociConfig({ registry: '' }), 'oci.registry'],
    ['a region with a space', awsConfig({ region: 'eu central' }), 'aws.region'],
    ['a location with an underscore', gcpConfig({ location: 'europe_west1' }), 'gcp.location'],
    ['a prefix in capitals', ociConfig({ prefix: 'Mirror' }), 'oci.prefix'],
    ['an empty part in the prefix', ociConfig({ prefix: 'a//b' }), 'oci.prefix'],
    ['two separators in a prefix for ECR', awsConfig({ prefix: 'a--b' }), 'aws.prefix'],
    ['a project that is not a path', gcpConfig({ projectId: 'a:b:c' }), 'gcp.repositoryId'],
    ['an empty repository', gcpConfig({ repositoryId: '' }), 'gcp.repositoryId'],
    ['a prefix that leaves no room', ociConfig({ prefix: 'a'.repeat(150) }), 'oci.prefix'],
  ])('refuses %s', (_name, config, key) => {
    expect(targetProblems(config).map((problem) => problem.key)).toEqual([key]);
    expect(() => namingTarget(config)).toThrow(InvalidTargetError);
  });

  it('reports all problems of a target at once', () => {
    const problems = targetProblems(ociConfig({ registry: 'harbor', prefix: 'A' }));
    expect(problems.map((problem) => problem.key)).toEqual(['oci.registry', 'oci.prefix']);
  });

  it('leaves room for a source in every target', () => {
    for (const target of everyTarget) expect(maxSourceLength(target)).toBeGreaterThanOrEqual(96);
  });
});

describe('isLegalRepository', () => {
  it.each([
    ['docker.io/library/nginx', true, true],
    ['a', false, true],
    ['a__b', false, true],
    ['a--b', false, true],
    ['a_b.c-d/e', true, true],
    ['a:b', false, false],
    ['A', false, false],
    ['a/', false, false],
    ['/a', false, false],
    ['a'.repeat(255), true, true],
    ['a'.repeat(256), true, false],
    ['a'.repeat(257), false, false],
  ])('%#', (repository, inEcr, inOci) => {
    expect([isLegalRepository(ecr, repository), isLegalRepository(oci, repository)]).toEqual([inEcr, inOci]);
  });
});
