import { stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { targetsOf } from '../../../cdk8s/src/swapper-config.js';
import { ConfigError } from '../../../extension-service/src/config/problem.js';
import { InvalidPolicyOptionError } from '../../../extension-service/src/core/policies/problem.js';
import { policyTargets } from '../../../extension-service/src/core/policies/targets.js';
import { parse } from '../config/parsing.js';

type Outcome = { readonly targets: readonly string[] } | { readonly key: string; readonly says: string };

function service(config: object): Outcome {
  try {
    return { targets: policyTargets(parse(stringify(config)).config) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [{ key = '', message = '' } = {}] = error.problems;
    return { key, says: message };
  }
}

function construct(config: object): Outcome {
  try {
    return { targets: targetsOf(config) };
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    return { key: error.option.replace(/^config\./, ''), says: error.reason };
  }
}

const aws = { accountId: '012345678901', region: 'eu-west-1' };
const gcp = { location: 'europe-west4', projectId: 'example.com:images', repositoryId: 'mirror' };
const oci = (registry: string, prefix?: string) => ({ registry, ...(prefix !== undefined && { prefix }) });

describe("the configuration's targets", () => {
  it.each<[string, object, string[]]>([
    ['aws without a type', { target: { aws } }, ['012345678901.dkr.ecr.eu-west-1.amazonaws.com/']],
    ['gcp without a type', { target: { gcp } }, ['europe-west4-docker.pkg.dev/example.com/images/mirror/']],
    ['oci without a type', { target: { oci: oci('harbor.example.com') } }, ['harbor.example.com/']],
    [
      'an empty key of another type',
      { target: { aws: null, oci: oci('harbor.example.com') } },
      ['harbor.example.com/'],
    ],
    [
      'a host in capitals',
      { target: { oci: oci('HARBOR.Example.com:5000', '/a/b/') } },
      ['harbor.example.com:5000/a/b/'],
    ],
    ["Docker Hub's other name", { target: { oci: oci('Index.Docker.io', 'me') } }, ['docker.io/me/']],
    ['an empty prefix', { target: { oci: oci('harbor.example.com', '') } }, ['harbor.example.com/']],
    [
      'a list and a catch-all',
      { targets: [{ name: 'a', match: '`true`', gcp }], target: { aws } },
      ['europe-west4-docker.pkg.dev/example.com/images/mirror/', '012345678901.dkr.ecr.eu-west-1.amazonaws.com/'],
    ],
  ])('are the same for the service and the construct: %s', (_what, config, targets) => {
    expect(construct(config)).toEqual({ targets });
    expect(service(config)).toEqual({ targets });
  });

  it.each<[string, object, string]>([
    ['two kinds and no type', { aws, gcp }, 'target.type'],
    ['no kind and no type', { name: 'a' }, 'target.type'],
    ['an unknown type', { type: 'ecr', aws }, 'target.type'],
    ['the member of another type', { type: 'aws', aws, oci: oci('harbor.example.com') }, 'target.oci'],
    ['a scheme', { oci: oci('HTTPS://harbor.example.com') }, 'target.oci.registry'],
    ['a path', { oci: oci('harbor.example.com/mirror') }, 'target.oci.registry'],
    ['a name without a dot', { oci: oci('harbor') }, 'target.oci.registry'],
    ['an impossible port', { oci: oci('harbor.example.com:70000') }, 'target.oci.registry'],
  ])('are refused at the same key with the same words: %s', (_what, target, key) => {
    const refused = construct({ target });
    expect(refused).toMatchObject({ key });
    const { key: theirs, says } = service({ target }) as { key: string; says: string };
    expect(theirs).toBe(key);
    expect((refused as { says: string }).says.startsWith(`${says}: `)).toBe(true);
  });

  it('are named where a value is no text', () => {
    expect(construct({ target: { oci: { registry: 5 } } })).toMatchObject({ key: 'target.oci.registry' });
    expect(construct({ target: { oci: { registry: 'a.example.com', prefix: 5 } } })).toMatchObject({
      key: 'target.oci.prefix',
    });
  });
});
