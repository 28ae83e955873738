import { DEFAULT_OPERATORS } from '../../../extension-service/src/core/decide/operators.js';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import { describeKeys } from '../../../extension-service/src/config/reference.js';
import type { configSchema } from '../../../extension-service/src/config/schema/config.js';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { aws, parse, parseLegacy, target } from './parsing.js';

describe('a configuration with only a target', () => {
  it('has the documented defaults', () => {
    expect(parse(target).config).toEqual({
      dryRun: false,
      logLevel: 'info',
      logFormat: 'json',
      imageSwapPolicy: 'exists',
      imageCopyPolicy: 'delayed',
      imageCopyDeadline: 8_000,
      imageCopyFailure: 'ignore',
      answerBudget: 200,
      source: {
        ...{ filters: [], registries: [], allow: [], deny: [] },
        ...{ accessCheck: 'none', directTarget: 'keep', volumes: true, operators: DEFAULT_OPERATORS },
      },
      pods: { annotate: false },
      target: {
        name: 'default',
        type: 'oci',
        oci: { registry: 'registry.example.com', prefix: '', insecure: false },
      },
      targets: [],
      mirror: {
        ...{ concurrency: 4, platforms: 'all', referrers: true },
        ...{ refresh: { interval: 3_600_000 }, audit: { interval: 86_400_000 } },
      },
      queue: { type: 'memory', prefix: 'image_swapper', sentinels: [] },
      gc: { enabled: false, after: 2_592_000_000, clusters: [], deletePlatforms: 'auto' },
      reconcile: { enabled: true, interval: 600_000 },
      secretReader: { enabled: true, secretNames: [] },
      lease: { name: 'image-swapper' },
      events: { enabled: true },
      tls: {
        mode: 'files',
        secretName: 'image-swapper-tls',
        configMapName: 'image-swapper-ca',
        dnsNames: [],
        clients: {},
      },
      server: {},
      auth: {
        kyverno: {
          secretNamespace: 'kyverno',
          token: false,
          tokenRequired: true,
          audience: 'kyverno-svc.kyverno.io',
          serviceAccounts: ['kyverno/kyverno-admission-controller'],
        },
        webhook: {},
        explain: {},
      },
      policies: {
        manage: false,
        engine: 'kyverno',
        undecidable: 'refuse',
        table: false,
        name: 'image-swapper',
        failClosed: false,
        excludedNamespaces: [],
      },
    });
  });

  it('creates repositories in ECR like k8s-image-swapper', () => {
    const { config } = parse(aws(''));
    expect(config.target).toEqual({
      name: 'default',
      type: 'aws',
      aws: {
        accountId: '123456789012',
        region: 'eu-central-1',
        prefix: '',
        ecrOptions: {
          tags: [],
          imageTagMutability: 'MUTABLE',
          imageTagMutabilityExclusionFilters: [],
          imageScanningConfiguration: { imageScanOnPush: true },
          encryptionConfiguration: { encryptionType: 'AES256' },
        },
        repositories: { mode: 'api', reconcilePolicies: true },
        quotas: { putImage: 10, initiateLayerUpload: 100, completeLayerUpload: 100 },
      },
    });
  });

  it('marks each value as a default', () => {
    const { origins } = parse(target);
    const others = [...origins].filter(([, origin]) => origin !== 'default');
    expect(others).toEqual([
      ['target.type', 'image-swapper.yaml:1'],
      ['target.oci.registry', 'image-swapper.yaml:1'],
    ]);
    expect(origins.size).toBe(95);
  });

  it.each([
    ['dryRun', '`false`'],
    ['logLevel', '`info`'],
    ['imageSwapPolicy', '`exists`'],
    ['imageCopyPolicy', '`delayed`'],
    ['imageCopyDeadline', '`8s`'],
    ['answerBudget', '`200ms`'],
    ['mirror.concurrency', '`4`'],
    ['mirror.refresh.interval', '`1h`'],
    ['mirror.audit.interval', '`24h`'],
    ['reconcile.interval', '`10m`'],
    ['target.aws.ecrOptions.encryptionConfiguration.encryptionType', '`AES256`'],
  ])('documents %s as %s', (key, expected) => {
    expect(describeKeys().find((description) => description.key === key)?.default).toBe(expected);
  });
});

describe('values that are treated as absent', () => {
  it.each([
    ['a key without a value', `${target}source:\n  filters:\n    # none yet\nmirror:\n`],
    ['an empty text where none is needed', `${target}source: {allow: []}\nqueue: {type: memory, url: ""}\n`],
  ])('%s', (_, text) => {
    expect(parse(text).config).toEqual(parse(target).config);
  });

  it.each([
    ['a byte order mark', `\ufeff${target}`],
    ['carriage returns', target.replaceAll('\n', '\r\n')],
    ['a document start', `---\n${target}`],
    ['comments', `# one\n${target}# two\n`],
  ])('%s changes nothing', (_, text) => {
    expect(parse(text).config).toEqual(parse(target).config);
  });
});

describe('values', () => {
  it.each([
    ['012345678901', '012345678901'],
    ['"012345678901"', '012345678901'],
    ['000000000001', '000000000001'],
    ['123456789012', '123456789012'],
  ])('account %s stays %s, in both dialects', (written, expected) => {
    const text = `target: {type: aws, aws: {accountId: ${written}, region: eu-central-1}}\n`;
    for (const { config, warnings } of [parse(text), parseLegacy(text)]) {
      expect(config.target).toMatchObject({ aws: { accountId: expected } });
      expect(warnings).toEqual([]);
    }
  });

  it.each([
    ['8s', 8_000],
    ['1m30s', 90_000],
    ['200ms', 200],
    ['1h', 3_600_000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['1500us', 2],
    ['576h', 2_073_600_000],
  ])('imageCopyDeadline %s is %d milliseconds', (text, expected) => {
    expect(parse(`${target}imageCopyDeadline: ${text}\n`).config.imageCopyDeadline).toBe(expected);
  });

  it.each([
    ['mirror', 'mirror'],
    ['/mirror/', 'mirror'],
    ['//team/mirror//', 'team/mirror'],
    ['/', ''],
  ])('prefix %s is %s', (written, expected) => {
    expect(parse(aws(`    prefix: ${written}\n`)).config.target).toMatchObject({ aws: { prefix: expected } });
  });

  it.each([
    ['example.com:my-project', 'example.com:my-project'],
    ['example.com/my-project', 'example.com:my-project'],
    ['my-project', 'my-project'],
  ])('project %s is %s', (written, expected) => {
    const text = `target: {gcp: {location: europe-west4, projectId: "${written}", repositoryId: main}}\n`;
    expect(parse(text).config.target).toMatchObject({ type: 'gcp', gcp: { projectId: expected } });
  });

  it('spells platforms as containerd does', () => {
    const { config } = parse(`${target}mirror: {platforms: [linux/x86_64, linux/arm64/v8, linux/arm]}\n`);
    expect(config.mirror.platforms).toEqual(['linux/amd64', 'linux/arm64', 'linux/arm/v7']);
  });

  it.each([
    'a.example',
    'a.example:5000',
    '*.example',
    '10.0.0.0/8',
    '127.0.0.1',
    'fd00::/8',
    '::1',
    '[::1]:5000',
    'node',
  ])('source.allow takes %s', (host) => {
    expect(parse(`${target}source: {allow: ["${host}"]}\n`).config.source.allow).toEqual([host]);
  });

  it.each([
    'registry.example.com',
    'localhost',
    'localhost:5000',
    '127.0.0.1:5000',
    '[::1]:5000',
    'harbor:443',
    'docker.io',
  ])('a registry may be at %s', (host) => {
    expect(parse(`target: {oci: {registry: "${host}"}}\n`).config.target).toMatchObject({ oci: { registry: host } });
  });

  it('accepts anchors and merge keys', () => {
    const text = `targets:
  - &eu {name: eu, match: "obj.metadata.namespace == 'eu'", oci: {registry: eu.example.com, prefix: a}}
  - <<: *eu
    name: us
    oci: {registry: us.example.com}
`;
    expect(parse(text).config.targets).toMatchObject([
      { name: 'eu', oci: { registry: 'eu.example.com', prefix: 'a' } },
      { name: 'us', match: "obj.metadata.namespace == 'eu'", oci: { registry: 'us.example.com', prefix: '' } },
    ]);
  });
});

it('the schema produces the model', () => {
  expectTypeOf<z.output<typeof configSchema>>().toExtend<Config>();
});
