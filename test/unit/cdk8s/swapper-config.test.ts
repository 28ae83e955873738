import { stringify } from 'yaml';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { targetsOf } from '../../../cdk8s/src/swapper-config.js';
import type { SwapperConfig } from '../../../cdk8s/src/index.js';
import { ConfigError } from '../../../extension-service/src/config/problem.js';
import { InvalidPolicyOptionError } from '../../../extension-service/src/core/policies/problem.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { policyTargets } from '../../../extension-service/src/core/policies/targets.js';
import { parse } from '../config/parsing.js';
import { CA } from '../policies/example-options.js';
import { swapper } from './swapper.js';

afterEach(() => vi.restoreAllMocks());

type Outcome = { readonly targets: readonly string[] } | { readonly key: string; readonly says: string };

function service(config: object): Outcome {
  try {
    return { targets: policyTargets(parse(stringify(config)).config, namingTarget) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [{ key = '', message = '' } = {}] = error.problems;
    return { key, says: message };
  }
}

function construct(config: object): Outcome {
  try {
    return { targets: targetsOf(config as SwapperConfig) };
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
    [
      'paths instead of hosts',
      { target: { aws, paths: { 'quay.io': 'quay', 'docker.io': '/hub/' } } },
      ['012345678901.dkr.ecr.eu-west-1.amazonaws.com/hub/', '012345678901.dkr.ecr.eu-west-1.amazonaws.com/quay/'],
    ],
    [
      'gcp with paths and without a repository',
      { target: { gcp: { ...gcp, repositoryId: undefined }, paths: { 'docker.io': 'hub' } } },
      ['europe-west4-docker.pkg.dev/example.com/images/hub/'],
    ],
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
  ])('are equal in the service and the construct: %s', (_what, config, targets) => {
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

  it.each<[string, unknown, string]>([
    ['the name of another host', { 'docker.io': 'quay.io' }, 'target.paths.docker.io'],
    ['one path inside another', { 'docker.io': 'a', 'quay.io': 'a/b' }, 'target.paths.quay.io'],
    ['no registry', {}, 'target.paths'],
  ])('have the same paths refused at the same key with the same words: %s', (_what, paths, key) => {
    const target = { oci: oci('harbor.example.com'), paths };
    const refused = construct({ target });
    expect(refused).toMatchObject({ key });
    expect(service({ target })).toEqual(refused);
  });

  it('are named when a value is not a string', () => {
    const paths = (value: unknown) => construct({ target: { oci: oci('harbor.example.com'), paths: value } });
    expect(paths({ 'docker.io': 5 })).toMatchObject({ key: 'target.paths.docker.io' });
    expect(paths(['docker.io'])).toMatchObject({ key: 'target.paths' });
    expect(construct({ target: { oci: { registry: 5 } } })).toMatchObject({ key: 'target.oci.registry' });
    expect(construct({ target: { oci: { registry: 'a.example.com', prefix: 5 } } })).toMatchObject({
      key: 'target.oci.prefix',
    });
  });
});

describe('an invalid configuration', () => {
  const target = { oci: oci('harbor.example.com') };
  it.each<[unknown, string]>([
    [undefined, 'props.config: is missing: must be a mapping'],
    [null, 'props.config: null must be a mapping'],
    [[{ target }], 'props.config: [{"target"'],
    [{ target, policies: [] }, 'props.config.policies: [] must be a mapping'],
    [{ target, source: 'x' }, 'props.config.source: "x" must be a mapping'],
    [{ target, source: { filters: [null] } }, 'props.config.source.filters[0]: null must be a mapping'],
    [
      { target, source: { filters: { jmespath: 'a' } } },
      'props.config.source.filters: {"jmespath":"a"} must be a list',
    ],
    [{ targets: { oci: target.oci } }, 'props.config.targets: {"oci"'],
    [{ targets: [null] }, 'props.config.targets[0]: null must be a mapping'],
    [
      { config: { target } },
      "props.config.target: is required: images need a target; this looks like the chart's Helm values: give what is below config",
    ],
    [{ target: 'harbor.example.com' }, 'props.config.target: "harbor.example.com" must be a mapping'],
    [{ target: { ...target, match: 5 } }, 'props.config.target.match: 5 must be a string'],
    [
      { targets: [{ ...target, match: 'metadata.name' }] },
      'props.config.targets[0].match: "metadata.name", column 1: there is no metadata here',
    ],
    [{ target, source: { filters: [{ jmespath: 'obj.metadata.namespace == "a"' }] } }, "write 'a'"],
    [{ targets: [{ ...target, match: 'a ==' }] }, 'props.config.targets[0].match: "a ==", column'],
  ])('stops the synth and names the file: %j', (config, message) => {
    expect(() => swapper({ config })).toThrow(message);
  });
});

describe('under gatekeeper', () => {
  const gatekeeper = (target: object, more: object = {}) =>
    swapper({ config: { targets: [target], ...more }, engine: 'gatekeeper', caBundle: CA });
  const target = { name: 'a', oci: oci('harbor.example.com') };

  it('a match that reads the Pod stops the synth, since no Pod would be swapped', () => {
    const match = "obj.metadata.namespace == 'a'";
    expect(() => gatekeeper({ ...target, match })).toThrow(
      'swapper: props.config.targets[0].match: reads more than container.image',
    );
    expect(() => gatekeeper(target, { target: { oci: target.oci, match } })).toThrow(
      'props.config.target.match: reads',
    );
    expect(() => gatekeeper({ ...target, match: "starts_with(container.image, 'a')" })).not.toThrow();
    expect(() => swapper({ config: { targets: [{ ...target, match }] }, engine: 'kyverno' })).not.toThrow();
  });

  it('copies that no request waits for are reported', () => {
    const { construct } = gatekeeper({ ...target, imageCopyPolicy: 'force' }, { imageCopyPolicy: 'immediate' });
    expect(construct.warnings).toEqual([
      expect.stringMatching(/^config\.imageCopyPolicy: immediate does not wait for copies/),
      expect.stringMatching(/^config\.targets\[0\]\.imageCopyPolicy: force does not wait for copies/),
    ]);
    expect(gatekeeper({ ...target, imageCopyPolicy: 'delayed' }).construct.warnings).toEqual([]);
    expect(
      swapper({ config: { target: target, imageCopyPolicy: 'force' }, engine: 'webhook', caBundle: CA }).construct
        .warnings,
    ).toEqual([]);
  });
});
