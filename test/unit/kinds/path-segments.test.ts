import { describe, expect, it } from 'vitest';
import type { RegistryConfig } from '../../../extension-service/src/core/config/model.js';
import { targetReference } from '../../../extension-service/src/core/naming/name.js';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import { ecrNames } from '../../../extension-service/src/kinds/aws/names.js';
import type { AwsConfig } from '../../../extension-service/src/kinds/aws/config.js';
import { repositoryName } from '../../../extension-service/src/kinds/gcp/settings.js';
import type { GcpConfig } from '../../../extension-service/src/kinds/gcp/config.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { repositoryPath } from '../../../extension-service/src/registry/paths.js';
import { parse, problemsOf } from '../config/parsing.js';

/** Texts that could change the resource or the host of a request when they are part of a path or an address. */
const HOSTILE = ['..', 'a/../b', '../b', 'a?b=c', 'a#b', 'a%2fb', 'a%2e%2e', 'a b', 'a\nb', 'a@b', 'a\\b', 'a;b', 'ä'];

const COMPLETE_CONFIGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  gcp: { location: 'europe-west4', projectId: 'my-project', repositoryId: 'mirror' },
  aws: { accountId: '123456789012', region: 'eu-central-1', prefix: 'mirror' },
  acr: { registry: 'example.azurecr.io', prefix: 'mirror' },
  oci: { registry: 'registry.example.com', prefix: 'mirror' },
};
const textOf = (type: string, more: object = {}): string =>
  JSON.stringify({ target: { type, [type]: { ...COMPLETE_CONFIGS[type], ...more } } });
const target = (type: string): RegistryConfig & { readonly name: string } =>
  parse(textOf(type)).config.target ?? expect.fail('no target');

describe.each<readonly [string, readonly string[]]>([
  ['gcp', ['location', 'projectId', 'repositoryId', 'serviceAccount', 'endpoint']],
  ['aws', ['accountId', 'region', 'prefix', 'role']],
  ['acr', ['registry', 'prefix', 'tenantId']],
  ['oci', ['registry', 'prefix']],
])('the keys of %s that become paths, names and addresses', (type, keys) => {
  it('accept valid values', () => {
    expect(problemsOf(textOf(type))).toEqual([]);
  });

  it.each(keys.flatMap((key) => HOSTILE.map((value) => [key, value] as const)))('%s refuses %j', (key, value) => {
    expect(problemsOf(textOf(type, { [key]: value }))).not.toEqual([]);
  });
});

describe('names that are made of them', () => {
  it('have only their segments', () => {
    const gcp = target('gcp')['gcp'] as GcpConfig;
    expect(repositoryName(gcp)).toBe('projects/my-project/locations/europe-west4/repositories/mirror');
    const { arn } = ecrNames(target('aws')['aws'] as AwsConfig);
    expect(arn('mirror/a')).toBe('arn:aws:ecr:eu-central-1:123456789012:repository/mirror/a');
  });

  it.each(Object.keys(COMPLETE_CONFIGS))(
    'of images in %s are legal paths below the place, whatever the source',
    (type) => {
      const naming = namingTarget(target(type));
      for (const source of ['quay.io:8443/a/b:c', `docker.io/${'a'.repeat(240)}:1`, 'localhost/x__y/z--w:1']) {
        const { repository } = targetReference(naming, parseReference(source));
        expect(repository.startsWith(`${naming.path}/`)).toBe(true);
        expect(repositoryPath(naming.host, repository, 'manifests', '1')).toBe(`/v2/${repository}/manifests/1`);
      }
    },
  );

  it.each(['..', '.', '', 'a b', 'ä', '\u0000'])('refuse %j as a segment of a request', (segment) => {
    expect(() => repositoryPath('r.test', `a/${segment}`, 'manifests', '1')).toThrow(/cannot be part of/);
  });

  it.each([
    ['a?b', '/v2/a%3Fb/manifests/1'],
    ['a#b', '/v2/a%23b/manifests/1'],
    ['a%2f..', '/v2/a%252f../manifests/1'],
  ])('encode %j', (repository, path) => {
    expect(repositoryPath('r.test', repository, 'manifests', '1')).toBe(path);
  });
});
