import { describe, expect, it } from 'vitest';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import { buildOriginIndex, findTarget } from '../../../extension-service/src/core/naming/origin.js';
import { overlappingTargets } from '../../../extension-service/src/core/naming/overlap.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import {
  awsConfig,
  ecr,
  ecrWithPrefix,
  everyTarget,
  gar,
  gcpConfig,
  oci,
  ociConfig,
  ociWithPrefix,
} from './targets.js';

const china = namingTarget(awsConfig({ region: 'cn-north-1' }));
const gov = namingTarget(awsConfig({ region: 'us-gov-west-1' }));
const domainProject = namingTarget(gcpConfig({ projectId: 'example.com:project' }));
const tls = namingTarget(ociConfig({ registry: 'harbor.example.com', prefix: 'mirror' }));
const hub = namingTarget(ociConfig({ registry: 'docker.io', prefix: 'acme' }));

describe('findTarget', () => {
  it.each([
    // aws: every repository of the registry, under each of its host names
    [ecr, '123456789012.dkr.ecr.eu-central-1.amazonaws.com/docker.io/library/nginx:1', true],
    [ecr, '123456789012.dkr.ecr.eu-central-1.amazonaws.com/our/app', true],
    [ecr, '123456789012.DKR.ecr.eu-central-1.amazonaws.com/our/app', true],
    [ecr, '123456789012.dkr.ecr.eu-central-1.amazonaws.com:443/our/app', true],
    [ecrWithPrefix, '123456789012.dkr.ecr.eu-central-1.amazonaws.com/mirror/docker.io/library/nginx', true],
    [ecrWithPrefix, '123456789012.dkr.ecr.eu-central-1.amazonaws.com/mirror2/app', true],
    [ecrWithPrefix, '123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com/our/app', true],
    [ecrWithPrefix, '123456789012.dkr-ecr.eu-central-1.on.aws/our/app', true],
    [ecrWithPrefix, '123456789012.dkr-ecr-fips.eu-central-1.on.aws/our/app', true],
    [china, '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app', true],
    [china, '123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/app', true],
    [gov, '123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/app', true],
    [gov, '123456789012.dkr-ecr-fips.us-gov-west-1.on.aws/app', true],
    [ecr, '123456789013.dkr.ecr.eu-central-1.amazonaws.com/app', false],
    [ecr, '123456789012.dkr.ecr.eu-central-2.amazonaws.com/app', false],
    [ecr, '123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example/app', false],
    [ecr, '123456789012.dkr.ecr.eu-central-1.amazonaws.com:5000/app', false],
    [china, '123456789012.dkr.ecr.cn-north-1.amazonaws.com/app', false],
    // gcp: the host, project and repository must match
    [gar, 'europe-west1-docker.pkg.dev/my-project/mirror/app', true],
    [gar, 'europe-west1-docker.pkg.dev/my-project/mirror/docker.io/library/nginx', true],
    [gar, 'europe-west1-docker.pkg.dev/my-project/mirror2/app', false],
    [gar, 'europe-west1-docker.pkg.dev/my-project/mirror', false],
    [gar, 'europe-west1-docker.pkg.dev/other-project/mirror/app', false],
    [gar, 'europe-west2-docker.pkg.dev/my-project/mirror/app', false],
    [domainProject, 'europe-west1-docker.pkg.dev/example.com/project/mirror/app', true],
    [domainProject, 'europe-west1-docker.pkg.dev/example.com/project2/mirror/app', false],
    // oci: the host and prefix must match
    [oci, 'harbor.example.com:5000/app', true],
    [oci, 'Harbor.example.com:5000/app', true],
    [oci, 'harbor.example.com/app', false],
    [oci, 'harbor.example.com:5001/app', false],
    [ociWithPrefix, 'harbor.example.com:5000/team/mirror/docker.io/library/nginx', true],
    [ociWithPrefix, 'harbor.example.com:5000/team/mirror2/app', false],
    [ociWithPrefix, 'harbor.example.com:5000/team/mirror', false],
    [ociWithPrefix, 'harbor.example.com:5000/team/app', false],
    [ociWithPrefix, 'other.example.com:5000/team/mirror/app', false],
    [tls, 'harbor.example.com:443/mirror/app', true],
    [hub, 'acme/quay.io/x', true],
    [hub, 'acme2/x', false],
    [hub, 'nginx', false],
  ])('%#', (target, image, inside) => {
    expect(findTarget([target], parseReference(image))).toBe(inside ? target : undefined);
  });

  it('finds one of a hundred targets, by path when they share a host', () => {
    const targets = Array.from({ length: 100 }, (_, i) => namingTarget(ociConfig({ prefix: `team${i}` }, `team${i}`)));
    const index = buildOriginIndex([...targets, ...everyTarget]);
    expect(index.find(parseReference('harbor.example.com:5000/team57/x'))?.name).toBe('team57');
    expect(index.find(parseReference('harbor.example.com:5000/team/mirror/x'))?.name).toBe('oci-prefix');
    expect(index.find(parseReference('harbor.example.com:5000/team/x'))?.name).toBe('oci');
    expect(index.find(parseReference('quay.io/x/y'))).toBeUndefined();
  });

  it('prefers the target whose path contains the image, regardless of the order', () => {
    const image = parseReference(`${ecr.host}/mirror/docker.io/library/nginx`);
    const other = parseReference(`${ecr.host}/our/app`);
    const second = namingTarget(awsConfig({ prefix: 'second' }, 'second'));
    expect(findTarget([second, ecrWithPrefix], image)).toBe(ecrWithPrefix);
    expect(findTarget([second, ecrWithPrefix], other)).toBe(second);
    expect(findTarget([ecr, ecrWithPrefix], image)).toBe(ecrWithPrefix);
    expect(findTarget([ecrWithPrefix, ecr], other)).toBe(ecr);
  });
});

describe('overlappingTargets', () => {
  it.each([
    ['a registry inside another as a source’s host', '', 'docker.io', 1],
    ['localhost', '', 'localhost/x', 1],
    ['a host with a port', 'mirror', 'mirror/registry_5000', 1],
    ['a plain prefix beside none', '', 'mirror', 0],
    ['a plain prefix below another', 'mirror', 'mirror/eu', 0],
    ['the same', 'mirror', 'mirror', 0],
    ['neighbours', 'mirror', 'mirror.eu', 0],
  ])('%s: %j and %j', (_name, first, second, count) => {
    const targets = [namingTarget(ociConfig({ prefix: first }, 'a')), namingTarget(ociConfig({ prefix: second }, 'b'))];
    expect(overlappingTargets(targets)).toHaveLength(count);
    expect(overlappingTargets([...targets].reverse())).toHaveLength(count);
  });

  it('recognizes one registry under two of its hosts', () => {
    const alias = namingTarget(ociConfig({ registry: ecr.aliases[1] ?? '', prefix: 'quay.io' }, 'alias'));
    expect(overlappingTargets([ecr, alias]).map(({ inner }) => inner.name)).toEqual(['alias']);
  });
});
