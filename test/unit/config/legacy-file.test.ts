import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse, parseLegacy, problemsOf, warningsOf } from './parsing.js';
import type { AwsConfig } from '../../../extension-service/src/kinds/aws/config.js';
import { REGISTRY_TYPES as TYPES } from '../../../extension-service/src/kinds/kinds.js';

function fixture(name: string): string {
  return readFileSync(new URL(`./legacy-file/${name}`, import.meta.url), 'utf8');
}

const filters = [{ jmespath: "obj.metadata.namespace == 'kube-system'" }];
const shortAccount = (line: number, column: number) =>
  `${line}:${column}: target.aws.accountId: "123456789" has 9 digits, and AWS accounts have 12`;

describe("k8s-image-swapper's documented files", () => {
  it('loads the example of its repository', () => {
    const loaded = parseLegacy(fixture('example.yaml'));
    expect(loaded.config).toMatchObject({
      dryRun: true,
      logLevel: 'trace',
      logFormat: 'console',
      imageSwapPolicy: 'exists',
      imageCopyPolicy: 'delayed',
      imageCopyDeadline: 8_000,
      source: { filters },
      target: {
        name: 'default',
        type: 'aws',
        aws: {
          accountId: '123456789',
          region: 'ap-southeast-2',
          role: 'arn:aws:iam::123456789012:role/roleName',
          prefix: '',
          ecrOptions: {
            tags: [
              { key: 'CreatedBy', value: 'k8s-image-swapper' },
              { key: 'AnotherTag', value: 'another-tag' },
            ],
            imageTagMutability: 'MUTABLE',
            imageScanningConfiguration: { imageScanOnPush: true },
            encryptionConfiguration: { encryptionType: 'AES256' },
          },
        },
      },
      targets: [],
    });
    const options = (loaded.config.target?.['aws'] as AwsConfig | undefined)?.ecrOptions;
    expect(options?.encryptionConfiguration).not.toHaveProperty('kmsKey');
    expect(JSON.parse(options?.accessPolicy ?? '')).toMatchObject({ Version: '2008-10-17' });
    expect(JSON.parse(options?.lifecyclePolicy ?? '')).toMatchObject({ rules: [{ rulePriority: 1 }] });
    expect(warningsOf(loaded)).toEqual([
      shortAccount(13, 16),
      '25:17: target.aws.ecrOptions.encryptionConfiguration.kmsKey: has no effect with encryptionType AES256: set encryptionType: KMS to use it',
    ]);
  });

  it.each([
    [
      'a target without type',
      'target:\n  aws:\n    accountId: 123456789\n    region: ap-southeast-2\n',
      [shortAccount(3, 16)],
    ],
    [
      'an access policy in the wrong place and over several lines',
      `target:\n  aws:\n    accountId: 123456789\n    region: ap-southeast-2\n    accessPolicy: '{\n  "Statement": []\n}'\n`,
      [
        shortAccount(3, 16),
        '5:5: target.aws.accessPolicy: unknown key (did you mean "ecrOptions.accessPolicy"?): expected one of accountId, region, endpoint, role, externalId, roleSessionName, prefix, ecrOptions, repositories, quotas',
      ],
    ],
  ])('loads %s', (_, text, warnings) => {
    const loaded = parseLegacy(text);
    expect(loaded.config.target).toMatchObject({
      type: 'aws',
      aws: { accountId: '123456789', region: 'ap-southeast-2' },
    });
    expect(warningsOf(loaded)).toEqual(warnings);
  });

  it('loads a target in Artifact Registry', () => {
    const loaded = parseLegacy(
      'target:\n  type: gcp\n  gcp:\n    location: us-central1\n    projectId: gcp-project-123\n    repositoryId: main\n',
    );
    expect(loaded.config.target).toEqual({
      name: 'default',
      type: 'gcp',
      gcp: {
        location: 'us-central1',
        projectId: 'gcp-project-123',
        repositoryId: 'main',
        createRepository: false,
        reconcilePolicies: true,
        repository: { labels: [] },
        cleanupDryRun: false,
        readers: [],
      },
    });
    expect(loaded.warnings).toEqual([]);
  });

  it('loads source registries', () => {
    const { config } = parseLegacy(
      `source:
  registries:
    - type: aws
      aws: {accountId: 123456789, region: ap-southeast-2}
    - aws: {accountId: 234567890, region: us-east-1}
target: {aws: {accountId: "123456789012", region: eu-west-1}}
`,
    );
    expect(config.source.registries).toMatchObject([
      { type: 'aws', aws: { accountId: '123456789', region: 'ap-southeast-2' } },
      { type: 'aws', aws: { accountId: '234567890', region: 'us-east-1' } },
    ]);
  });
});

describe("k8s-image-swapper's dialect", () => {
  const target = 'target: {aws: {accountId: "123456789012", region: eu-west-1}}\n';

  it.each([
    ['.k8s-image-swapper.yaml', true],
    ['/etc/x/.k8s-image-swapper.yml', true],
    ['image-swapper.yaml', false],
    ['config.yaml', false],
    ['k8s-image-swapper.yaml', false],
  ])('is detected for %s: %s', (file, tolerant) => {
    const text = `${target}DRYRUN: true\n`;
    if (tolerant) expect(parse(text, { file }).config.dryRun).toBe(true);
    else expect(() => parse(text, { file })).toThrow('unknown key');
  });

  it.each([
    ['other letter case', 'ImageSwapPolicy: always\n', { imageSwapPolicy: 'always' }, []],
    ['a boolean as a string', 'dryRun: "true"\n', { dryRun: true }, []],
    ['a number of copies as a text', 'mirror: {concurrency: "2"}\n', { mirror: { concurrency: 2 } }, []],
    [
      'an unknown key',
      'imageRewrites: 60\n',
      {},
      [
        '2:1: imageRewrites: unknown key: expected one of dryRun, logLevel, logFormat, imageSwapPolicy, imageCopyPolicy, imageCopyDeadline, imageCopyFailure, answerBudget, source, pods, target, targets, mirror, queue, gc, reconcile, secretReader, lease, events, tls, server, auth, policies',
      ],
    ],
    [
      'a deadline in nanoseconds',
      'imageCopyDeadline: 5000000000\n',
      { imageCopyDeadline: 5_000 },
      ['2:20: imageCopyDeadline: a number means nanoseconds, so this is 5s: write 8s'],
    ],
    ['no deadline', 'imageCopyDeadline: 0\n', { imageCopyDeadline: 8_000 }, []],
    [
      'a filter with an unknown function',
      'source: {filters: [{jmespath: "items(obj)"}]}\n',
      { source: { filters: [{ jmespath: 'items(obj)' }] } },
      ['2:32: source.filters[0].jmespath: there is no function items()'],
    ],
  ])('takes %s', (_, text, expected, warnings) => {
    const loaded = parseLegacy(`${target}${text}`);
    expect(loaded.config).toMatchObject(expected);
    expect(warningsOf(loaded)).toEqual(warnings);
  });

  it('accepts a tag that is a number, and omits unused types', () => {
    const loaded = parseLegacy(
      `target:
  type: aws
  aws: {accountId: "123456789012", region: eu-west-1, ecrOptions: {tags: [{key: cost, value: 0042}]}}
  gcp: {location: nowhere}
`,
    );
    expect(loaded.config.target).toMatchObject({ aws: { ecrOptions: { tags: [{ key: 'cost', value: '0042' }] } } });
    expect(loaded.config.target).not.toHaveProperty('gcp');
    expect(warningsOf(loaded)).toEqual([
      '3:94: target.aws.ecrOptions.tags[0].value: is a number, not a string: write it in quotes: "0042"',
      '4:3: target.gcp: does not belong to a registry of type aws: leave it out, or set type: gcp',
    ]);
  });

  it.each([
    [
      'a filter that does not compile',
      `${target}source: {filters: [{jmespath: "obj."}]}\n`,
      "2:36: source.filters[0].jmespath: the expression ends too early: expected a field name, '*', '[' or '{'",
    ],
    [
      'one key in two spellings',
      `${target}dryRun: true\ndryrun: false\n`,
      '3:1: dryRun: duplicate key, first defined on line 2',
    ],
    [
      'no account',
      'target: {}\n',
      '1:1: target.aws: required: its keys are accountId, region, endpoint, role, externalId, roleSessionName, prefix, ecrOptions, repositories, quotas',
    ],
    [
      'no target',
      '',
      `1:1: target: no target is configured: set target: {type: ${TYPES.join(' | ')}, …} or a list of targets, in the file or as IMAGE_SWAPPER_TARGET_…`,
    ],
    [
      'a policy that is not a choice',
      `${target}imageCopyPolicy: Delayed\n`,
      '2:18: imageCopyPolicy: "Delayed" is not valid (did you mean "delayed"?): expected one of delayed, immediate, force, none',
    ],
  ])('refuses %s', (_, text, expected) => {
    expect(problemsOf(text, { file: '.k8s-image-swapper.yaml' })).toEqual([expected]);
  });
});
