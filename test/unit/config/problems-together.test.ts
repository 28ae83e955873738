import { describe, expect, it } from 'vitest';
import { choice, duration } from '../../../extension-service/src/schema/leaves.js';
import { parseTree } from '../../../extension-service/src/config/parse.js';
import { ConfigError } from '../../../extension-service/src/config/problem.js';
import type { ConfigSchema } from '../../../extension-service/src/config/schema/config.js';
import { configSchema } from '../../../extension-service/src/config/schema/config.js';
import { imageCopyPolicy } from '../../../extension-service/src/config/schema/policies.js';
import { enginePoliciesSchema, queueSchema } from '../../../extension-service/src/config/schema/service.js';
import { parse, problemsOf, target, warningsOf } from './parsing.js';
import { REGISTRY_TYPES as TYPES } from '../../../extension-service/src/kinds/kinds.js';

describe('problems with types', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'none, and nothing that tells it',
      'target: {name: x}\n',
      [`1:9: target.type: required: expected one of ${TYPES.join(', ')}`],
    ],
    [
      'none, and two that tell it',
      'target:\n  aws: {accountId: "123456789012", region: nowhere}\n  gcp: {location: us, projectId: my-project, repositoryId: main}\n',
      [
        `2:3: target.type: required, because aws and gcp are set: expected one of ${TYPES.join(', ')}`,
        '2:44: target.aws.region: "nowhere" is not a valid AWS region: expected an AWS region such as eu-central-1',
      ],
    ],
    [
      'two described',
      'target:\n  type: aws\n  aws: {accountId: "123456789012", region: eu-central-1}\n  gcp: {location: us, projectId: my-project, repositoryId: main}\n',
      ['4:3: target.gcp: does not belong to a registry of type aws: leave it out, or set type: gcp'],
    ],
    [
      'an unknown one',
      'target:\n  type: generic\n  oci: {registry: "http://x.example"}\n',
      [
        `2:9: target.type: "generic" is not a registry type: expected one of ${TYPES.join(', ')}`,
        '3:19: target.oci.registry: "http://x.example" has a scheme: expected host or host:port, such as harbor.example.com:5000; for plain HTTP set insecure: true',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with several targets', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'no name',
      'targets:\n  - oci: {registry: a.example}\n',
      ['2:5: targets[0].name: required: expected up to 63 letters, digits, ., _ and -'],
    ],
    [
      'a name twice',
      'targets:\n  - {name: a, match: "`true`", oci: {registry: a.example}}\n  - {name: a, oci: {registry: b.example}}\n',
      ['3:12: targets[1].name: "a" is already the name of targets[0]: names must be unique'],
    ],
    [
      'the name of the single one',
      'targets:\n  - {name: default, match: "`true`", oci: {registry: a.example}}\ntarget: {oci: {registry: b.example}}\n',
      ['3:1: target.name: "default" is already the name of targets[0]: names must be unique'],
    ],
    [
      'one place twice',
      'targets:\n  - {name: a, match: "`true`", oci: {registry: "a.example:443", prefix: /x/}}\n  - {name: b, oci: {registry: A.example, prefix: x}}\n',
      ['3:5: targets[1]: points to the same place as targets[0]: a.example/x: give one of them another prefix'],
    ],
    [
      'one inside another where a source goes',
      'targets:\n  - {name: a, match: "`true`", oci: {registry: a.example}}\n  - {name: b, oci: {registry: a.example, prefix: docker.io}}\n',
      [
        '3:5: targets[1]: target b is inside target a, and docker.io below a.example also holds images from docker.io: choose a path without dots and underscores',
      ],
    ],
    [
      'unknown platforms',
      `targets:\n  - {name: a, platforms: [linux/amd64, linux/amd46], oci: {registry: a.example}}\nmirror: {platforms: linux/amd64}\n`,
      [
        '2:40: targets[0].platforms[1]: platform "linux/amd46": unknown architecture; expected one of 386, amd64, amd64p32, arm, arm64, arm64be, armbe, loong64, mips, mips64, mips64le, mips64p32, mips64p32le, mipsle, ppc, ppc64, ppc64le, riscv, riscv64, s390, s390x, sparc, sparc64, wasm',
        '3:21: mirror.platforms: is a string, not a list: expected all, or a list such as [linux/amd64, linux/arm64]',
      ],
    ],
    [
      'no platforms',
      `${target}mirror: {platforms: []}\n`,
      ['2:10: mirror.platforms: the list is empty: expected all, or a list such as [linux/amd64, linux/arm64]'],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with expressions', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'a syntax error in quotes',
      `${target}source:\n  filters:\n    - jmespath: "obj.metadata.namespace = 'kube-system'"\n`,
      [`4:41: source.filters[0].jmespath: '=' is not an operator: compare with '=='`],
    ],
    [
      'a syntax error behind escapes',
      `${target}source:\n  filters:\n    - jmespath: "obj.\\"a\\" = 'x'"\n`,
      [`4:28: source.filters[0].jmespath: '=' is not an operator: compare with '=='`],
    ],
    [
      'a syntax error in a plain text',
      `${target}source:\n  filters:\n    - jmespath: obj.metadata[\n`,
      ['4:30: source.filters[0].jmespath: the expression ends too early: expected a number, a slice or *'],
    ],
    [
      'a syntax error in a block',
      `${target}source:\n  filters:\n    - jmespath: |-\n        obj.a == 'x'\n        || ) obj.b\n`,
      [`6:12: source.filters[0].jmespath: unexpected ')': expected a value`],
    ],
    [
      'a syntax error in folded lines',
      `${target}source:\n  filters:\n    - jmespath: >-\n        obj.a ==\n        ) obj.b\n`,
      [`4:17: source.filters[0].jmespath: unexpected ')': expected a value (column 10 of the string)`],
    ],
    [
      'an unknown function',
      `${target}source: {filters: [{jmespath: "startswith(obj.kind, 'a')"}]}\n`,
      ['2:32: source.filters[0].jmespath: there is no function startswith(), did you mean starts_with()'],
    ],
    [
      'never a boolean',
      `${target}source: {filters: [{jmespath: "length(container.name)"}]}\n`,
      ['2:32: source.filters[0].jmespath: the expression can never be true or false: it returns a number'],
    ],
    [
      'a string in double quotes',
      `${target}source:\n  filters:\n    - jmespath: obj.metadata.namespace == "kube-system"\n`,
      [
        `4:43: source.filters[0].jmespath: "kube-system" is a field, not a string, because of its double quotes: write 'kube-system'`,
      ],
    ],
    [
      'a root that does not exist, in match',
      `targets:\n  - {name: a, match: "metadata.namespace == 'x'", oci: {registry: a.example}}\n`,
      [
        '2:23: targets[0].match: there is no metadata here: the root has obj (the Pod) and container: did you mean obj.metadata?',
      ],
    ],
    [
      'in match',
      `targets:\n  - {name: a, match: "obj.", oci: {registry: a.example}}\n`,
      [`2:27: targets[0].match: the expression ends too early: expected a field name, '*', '[' or '{'`],
    ],
    [
      'an empty one',
      `${target}source: {filters: [{jmespath: ""}]}\n`,
      ['2:31: source.filters[0].jmespath: is empty: expected a JMESPath expression'],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with hosts', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'forms that are none',
      `${target}source:\n  allow: ["https://a.example", 10.0.0.0/33, "a.*", "*", 300.1.1.1, "a.example:0", a/b, "[::1"]\n  deny: [7]\n`,
      [
        '3:11: source.allow[0]: "https://a.example" has a scheme: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:32: source.allow[1]: "10.0.0.0/33" is not a valid network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:45: source.allow[2]: "a.*" is not a valid host or network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:52: source.allow[3]: "*" is not a valid host or network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:57: source.allow[4]: "300.1.1.1" is not a valid host or network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:68: source.allow[5]: "a.example:0" is not a valid host or network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:83: source.allow[6]: "a/b" is not a valid network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '3:88: source.allow[7]: "[::1" is not a valid host or network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
        '4:10: source.deny[0]: is a number, not a string: write it in quotes: "7"',
        '4:10: source.deny[0]: "7" is not a valid host or network: expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with the service', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'the URL of a queue server with a bare % in the password, without showing it',
      `${target}queue: {type: redis, url: "redis://:se%cret@redis.example"}\n`,
      ['2:27: queue.url: has a % that does not begin an escape: expected %25 for each % in the user, password or path'],
    ],
    [
      'a queue without a server',
      `${target}queue: {type: redis}\n`,
      ['2:1: queue.url: required with type redis: set url or secretName'],
    ],
    [
      'a server of another type',
      `${target}queue: {type: redis, url: "postgres://u:secret@h/db"}\n`,
      ['2:27: queue.url: not a redis URL, but type is "redis"'],
    ],
    [
      'a URL that is none',
      `${target}queue: {type: redis, url: "redis.example:secret"}\n`,
      [
        '2:27: queue.url: not the URL of a queue server: expected a URL that begins with redis://, rediss://, postgres:// or postgresql://',
      ],
    ],
    [
      'a server for none',
      `${target}queue: {url: "redis://h"}\n`,
      ['2:14: queue.url: has no effect when type is memory: set type: redis or type: postgres'],
    ],
    [
      'both ways to the server',
      `${target}queue: {type: postgres, url: "postgres://h/db", secretName: q}\n`,
      ['2:61: queue.secretName: cannot be combined with url: set only one of url, secretName'],
    ],
    [
      'Sentinels of PostgreSQL',
      `${target}queue: {type: postgres, url: "postgres://h/db", sentinels: ["s:26379"]}\n`,
      ['2:49: queue.sentinels: has no effect when type is postgres: leave it out'],
    ],
    [
      'the password of no Sentinels',
      `${target}queue: {type: redis, url: "redis://h", sentinelPasswordFile: /p}\n`,
      ['2:62: queue.sentinelPasswordFile: has no effect without sentinels: set sentinels'],
    ],
    [
      'CA certificates without TLS',
      `${target}queue: {type: redis, url: "redis://h", caFile: /ca.pem}\n`,
      ['2:48: queue.caFile: has no effect with redis://, which does not use TLS: use rediss://'],
    ],
    [
      'a prefix that is none',
      `${target}queue: {type: redis, url: "redis://h", prefix: "A b"}\n`,
      [expect.stringContaining('queue.prefix: "A b" is not a valid prefix')],
    ],
    [
      'policies of no engine',
      `${target}policies: {manage: true, engine: none}\n`,
      ['2:20: policies.manage: requires an engine, but policies.engine is none: name an engine'],
    ],
    [
      'a certificate of its own for nobody',
      `${target}tls: {mode: selfSigned}\n`,
      [
        '2:1: tls.dnsNames: required with mode selfSigned: name the hosts that call the service, such as image-swapper.image-swapper.svc',
      ],
    ],
    [
      'managed policies without a required CA certificate',
      `${target}policies: {manage: true, engine: gatekeeper}\n`,
      [
        '2:1: policies.caFile: required with engine gatekeeper, which trusts no other CA: name a PEM file, or set tls.mode: selfSigned',
      ],
    ],
    [
      'a CA certificate that a MutatingPolicy cannot contain',
      `${target}policies: {manage: true, caFile: /ca.pem}\n`,
      [
        "2:34: policies.caFile: is not allowed in a MutatingPolicy: the CA certificate belongs in Kyverno's trust store: leave it out",
      ],
    ],
    [
      'two CA certificates',
      `${target}tls: {mode: selfSigned, dnsNames: [a.svc]}\npolicies: {manage: true, engine: webhook, caFile: /ca.pem}\n`,
      ['3:51: policies.caFile: conflicts with tls.mode selfSigned, which creates its own CA certificate: leave it out'],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('the rules', () => {
  const judged = (schema: ConfigSchema, text: string): readonly string[] => {
    try {
      return warningsOf(parseTree({ text, file: 'image-swapper.yaml' }, undefined, schema).loaded);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.problems.map(({ key, message }) => `${key}: ${message}`);
    }
  };
  const about = 'Another default.';

  it.each<readonly [string, ConfigSchema, string, readonly string[]]>([
    [
      'imageCopyDeadline, 8s unless set',
      configSchema.extend({ imageCopyDeadline: duration(1, 60_000, about).default(29_000) }),
      `${target}imageCopyPolicy: immediate\n`,
      [expect.stringContaining('imageCopyDeadline: is longer than 28s')],
    ],
    [
      'imageCopyPolicy, delayed unless set',
      configSchema.extend({ imageCopyPolicy: imageCopyPolicy(about).default('force') }),
      `${target}imageCopyDeadline: 1m\n`,
      [expect.stringContaining('imageCopyDeadline: is longer than 28s')],
    ],
    [
      'queue.type, memory unless set',
      configSchema.extend({
        queue: queueSchema
          .extend({ type: choice(['memory', 'redis', 'postgres'], about).default('redis') })
          .prefault({}),
      }),
      target,
      ['queue.url: required with type redis'],
    ],
    [
      'policies.engine, kyverno unless set',
      configSchema.extend({
        policies: enginePoliciesSchema
          .extend({ engine: enginePoliciesSchema.shape.engine.unwrap().default('gatekeeper') })
          .prefault({}),
      }),
      `${target}policies: {manage: true}\n`,
      [expect.stringContaining('policies.caFile: required with engine gatekeeper')],
    ],
  ])('check the default of the schema: %s', (_, schema, text, expected) => {
    expect(judged(configSchema, text)).toEqual([]);
    expect(judged(schema, text)).toEqual(expected);
  });

  it('check valid keys next to an invalid one', () => {
    const text =
      'targets:\n- {name: a, match: "container.image == \'x\'", oci: {registry: a.example, caFile: /ca, insecure: true}}\n' +
      '- {name: a, imageCopyPolicy: immediate, imageSwapPolicy: never, oci: {registry: b.example}}\n' +
      'imageCopyDeadline: 1m\nlogLevel: loud\n';
    expect(problemsOf(text)).toEqual([
      expect.stringContaining('3:10: targets[1].name: "a" is already the name of targets[0]'),
      expect.stringContaining('3:58: targets[1].imageSwapPolicy: "never" is not valid'),
      expect.stringContaining('4:20: imageCopyDeadline: is longer than 28s'),
      expect.stringContaining('5:11: logLevel: "loud" is not valid'),
    ]);
  });

  it.each([
    ['imageCopyDeadline: soon\nimageCopyPolicy: immediate\n', 'imageCopyDeadline: "soon" is not a valid duration'],
    ['imageCopyDeadline: 1m\nimageCopyPolicy: now\n', 'imageCopyPolicy: "now" is not valid'],
    ['queue: {type: kafka, url: "redis://a"}\n', 'queue.type: "kafka" is not valid'],
    [
      'policies: {manage: perhaps, engine: none}\n',
      '2:20: policies.manage: is a string, not a boolean: expected true or false',
    ],
    ['tls: {mode: auto}\npolicies: {manage: true, engine: gatekeeper}\n', 'tls.mode: "auto" is not valid'],
  ])('do not check a key that does not parse: %j', (text, expected) => {
    expect(problemsOf(`${target}${text}`)).toEqual([expect.stringContaining(expected)]);
  });
});

describe('authentication of callers', () => {
  const secret = 'secret: p-word-p-word-p-word-p-word-p-word';
  it.each<readonly [string, readonly string[], readonly string[]]>([
    ['server: {routes: []}\n', ['2:10: server.routes: is empty: leave it out to serve all routes'], []],
    [
      'server: {routes: [metrics]}\n',
      ['2:19: server.routes[0]: "metrics" is not valid: expected one of kyverno, gatekeeper, webhook, explain'],
      [],
    ],
    [
      'server: {routes: [webhook]}\n',
      [],
      [expect.stringContaining('server.routes: does not contain kyverno, but policies.engine is kyverno')],
    ],
    ['server: {routes: [webhook]}\npolicies: {engine: webhook}\n', [], []],
    [`auth: {kyverno: {token: true, ${secret}}}\n`, [], []],
    [
      'auth: {kyverno: {token: true}}\n',
      [],
      [
        expect.stringContaining(
          '2:25: auth.kyverno.token: is true, but policies of kyverno send no token: their requests are refused: set auth.kyverno.secret too',
        ),
      ],
    ],
    [
      `auth: {kyverno: {${secret}}}\npolicies: {engine: kyverno-clusterpolicy}\n`,
      [],
      [
        expect.stringContaining(
          '2:26: auth.kyverno.secret: is set, but policies of kyverno-clusterpolicy send no secret: their requests are refused: set auth.kyverno.token: true too',
        ),
      ],
    ],
    [
      'auth: {kyverno: {token: true, serviceAccounts: []}}\npolicies: {engine: kyverno-clusterpolicy}\n',
      [expect.stringContaining('auth.kyverno.serviceAccounts: is empty')],
      [],
    ],
    ['auth: {kyverno: {token: true, tokenRequired: false}}\n', [], []],
    [
      'auth: {kyverno: {tokenRequired: false}}\n',
      [],
      [expect.stringContaining('auth.kyverno.tokenRequired: is false, and no token is taken')],
    ],
    [
      `auth: {kyverno: {token: true, tokenRequired: false, ${secret}}}\n`,
      [],
      [expect.stringContaining('auth.kyverno.tokenRequired: is false, and auth.kyverno.secret is set')],
    ],
    ['auth: {webhook: {path: p-word}}\n', [expect.stringContaining('auth.webhook.path: not a valid path')], []],
    ['auth: {explain: {secret: p-word}}\n', [expect.stringContaining('auth.explain.secret: not a valid secret')], []],
  ])('%j', (text, errors, warnings) => {
    const problems = problemsOf(`${target}${text}`);
    expect(problems).toEqual(errors);
    expect(problems.join('\n')).not.toContain('p-word');
    if (errors.length === 0) expect(warningsOf(parse(`${target}${text}`))).toEqual(warnings);
  });
});
