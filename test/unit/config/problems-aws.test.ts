import { describe, expect, it } from 'vitest';
import { aws, parse, problemsOf, warningsOf } from './parsing.js';

const options = (lines: string): string => aws(`    ecrOptions:\n${lines}`);
const rules = (count: number): string =>
  Array.from({ length: count }, (_, index) => `{"rulePriority":${index + 1}}`).join(',');

describe('problems with the AWS side of a target', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'a region of no partition',
      'target: {type: aws, aws: {accountId: "123456789012", region: xx-nowhere-1}}\n',
      [
        '1:62: target.aws.region: "xx-nowhere-1" is not in any AWS partition: expected a region such as us-east-1, eu-central-1, us-gov-west-1 or cn-north-1',
      ],
    ],
    [
      'dual-stack hosts where there are none',
      'target: {type: aws, aws: {accountId: "123456789012", region: us-iso-east-1, endpoint: dual-stack}}\n',
      ['1:87: target.aws.endpoint: region us-iso-east-1 has no dual-stack hosts: use standard or fips'],
    ],
    [
      'what goes with a role, without one',
      aws('    externalId: abc\n    roleSessionName: s\n'),
      [
        '6:17: target.aws.externalId: has no effect without role',
        '7:22: target.aws.roleSessionName: "s" is not a valid session name: expected 2 to 64 letters, digits and _ + = , . @ -',
        '7:22: target.aws.roleSessionName: has no effect without role',
      ],
    ],
    [
      'exclusions that are missing',
      options('      imageTagMutability: IMMUTABLE_WITH_EXCLUSION\n'),
      [
        '7:27: target.aws.ecrOptions.imageTagMutabilityExclusionFilters: required with imageTagMutability IMMUTABLE_WITH_EXCLUSION: set a list such as [{filter: latest}]',
      ],
    ],
    [
      'exclusions from nothing',
      options('      imageTagMutabilityExclusionFilters: [{filter: latest}]\n'),
      [
        '7:7: target.aws.ecrOptions.imageTagMutabilityExclusionFilters: has no effect with imageTagMutability "MUTABLE": use IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION',
      ],
    ],
    [
      'exclusions that ECR would refuse',
      options(
        '      imageTagMutability: IMMUTABLE_WITH_EXCLUSION\n      imageTagMutabilityExclusionFilters: [{filter: "a*b*c*"}, {filter: "a b"}, {filter: a}, {filter: b}, {filter: c}, {filter: d}]\n',
      ),
      [
        '8:7: target.aws.ecrOptions.imageTagMutabilityExclusionFilters: there are 6 filters: ECR allows 5',
        '8:53: target.aws.ecrOptions.imageTagMutabilityExclusionFilters[0].filter: "a*b*c*" is not a valid tag filter: expected letters, digits and . _ -, with at most two *, such as latest* or dev-*',
        '8:73: target.aws.ecrOptions.imageTagMutabilityExclusionFilters[1].filter: "a b" is not a valid tag filter: expected letters, digits and . _ -, with at most two *, such as latest* or dev-*',
      ],
    ],
    [
      'KMS without its key',
      options('      encryptionConfiguration: {encryptionType: KMS_DSSE}\n'),
      [
        '7:49: target.aws.ecrOptions.encryptionConfiguration.kmsKey: required with encryptionType KMS_DSSE: set the ARN, ID or alias of a KMS key; alias/aws/ecr is the key that AWS manages',
      ],
    ],
    [
      'more tags than ECR takes',
      options(`      tags: [${Array.from({ length: 51 }, (_, i) => `{key: k${i}, value: v}`).join(', ')}]\n`),
      ['7:7: target.aws.ecrOptions.tags: there are 51 tags: ECR allows 50'],
    ],
    [
      'a lifecycle policy that is too long',
      options(`      lifecyclePolicy: '{"rules":[${' '.repeat(30_800)}]}'\n`),
      [
        '7:24: target.aws.ecrOptions.lifecyclePolicy: has 30812 characters: expected a lifecycle policy as raw JSON, at most 30720 characters',
      ],
    ],
    [
      'a lifecycle policy with too many rules',
      options(`      lifecyclePolicy: '{"rules":[${rules(51)}]}'\n`),
      [
        "7:24: target.aws.ecrOptions.lifecyclePolicy: this lifecycle policy has 51 rules, ECR allows 50: see ECR's lifecycle policy syntax",
      ],
    ],
    [
      'a mode and a quota that are none',
      aws('    repositories: {mode: terraform}\n    quotas: {putImage: 0}\n'),
      [
        '6:26: target.aws.repositories.mode: "terraform" is not valid: expected one of api, createOnPush, preexisting',
        '7:24: target.aws.quotas.putImage: 0 is not valid: expected a whole number from 1 to 100000',
      ],
    ],
    [
      'sources that are both public and private, or neither',
      aws('') +
        'source: {registries: [{type: aws, aws: {public: true, region: us-east-1}}, {type: aws, aws: {region: us-east-1}}]}\n',
      [
        '6:63: source.registries[0].aws.region: has no effect with public: true: leave it out',
        '6:88: source.registries[1].aws.accountId: required: public: true is only for public.ecr.aws',
      ],
    ],
    [
      'accounts whose zero is lost, of a target and of a source',
      'target: {type: aws, aws: {accountId: 12345678901, region: eu-west-1}}\n' +
        "source: {registries: [{type: aws, aws: {accountId: '12345678901', region: eu-west-1}}]}\n",
      ['1:38: target.aws', '2:52: source.registries[0].aws'].map(
        (place) =>
          `${place}.accountId: "12345678901" has 11 digits, and AWS accounts have 12: a leading zero was lost, because Helm reads unquoted digits as a number: write accountId: "012345678901"`,
      ),
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });

  it('warns of an account of 9 digits, as in the guide of k8s-image-swapper, and loads it', () => {
    const loaded = parse('target: {type: aws, aws: {accountId: 123456789, region: eu-west-1}}\n');
    expect(loaded.config.target).toMatchObject({ aws: { accountId: '123456789' } });
    expect(warningsOf(loaded).join()).toContain('"123456789" has 9 digits');
  });

  it.each([
    ['eu-west-1', 'fips', 'AWS lists no FIPS hosts of ECR for region eu-west-1: use standard if there are none'],
    ['cn-north-1', 'fips-dual-stack', 'for region cn-north-1: use dual-stack if there are none'],
    ['us-west-2', 'fips', undefined],
    ['us-gov-west-1', 'fips', undefined],
    ['ca-central-1', 'fips-dual-stack', undefined],
    ['eu-west-1', 'dual-stack', undefined],
  ])('warns of FIPS hosts that do not exist: %s, %s', (region, endpoint, expected) => {
    const text = `target: {aws: {accountId: "123456789012", region: ${region}, endpoint: ${endpoint}}}\n`;
    const warnings = warningsOf(parse(text)).filter((warning) => warning.includes('FIPS'));
    expect(warnings).toEqual(expected === undefined ? [] : [expect.stringContaining(expected)]);
  });

  const age = { countType: 'sinceImagePushed', countUnit: 'days', countNumber: 30 };
  const count = { countType: 'imageCountMoreThan', countNumber: 5 };
  const expire = { type: 'expire' };

  it.each<[string, object, object, string | undefined]>([
    ['untagged images by age', { tagStatus: 'untagged', ...age }, expire, undefined],
    ['tagged images by a pattern', { tagStatus: 'tagged', tagPatternList: ['v*'], ...count }, expire, undefined],
    [
      'any images',
      { tagStatus: 'any', ...count },
      expire,
      'rule 1 is for any images: it needs the highest rulePriority',
    ],
    // cloudposse/terraform-aws-ecr#132, #158
    ['a null', { tagStatus: 'untagged', ...count, countUnit: null }, expire, 'rule 1 has the value null for countUnit'],
    [
      'another null',
      { tagStatus: 'untagged', ...count },
      { ...expire, targetStorageClass: null },
      'for targetStorageClass',
    ],
    // cloud-custodian/cloud-custodian#5597
    ['a unit of a count', { tagStatus: 'untagged', ...count, countUnit: 'days' }, expire, 'leave out countUnit'],
    [
      'no unit',
      { tagStatus: 'untagged', countType: 'sinceImagePulled', countNumber: 1 },
      expire,
      'needs countUnit: days',
    ],
    ['no tags', { tagStatus: 'tagged', ...count }, expire, 'it needs tagPatternList or tagPrefixList'],
    ['tags', { tagStatus: 'untagged', tagPrefixList: ['v'], ...count }, expire, 'leave out tagPatternList'],
  ])('warns of a lifecycle rule that ECR rejects: %s', (_, selection, action, expected) => {
    const last = { rulePriority: 2, selection: { tagStatus: 'untagged', ...age }, action: expire };
    const policy = JSON.stringify({ rules: [{ rulePriority: 1, selection, action }, last] });
    const warnings = warningsOf(parse(options(`      lifecyclePolicy: '${policy}'\n`)));
    expect(warnings.filter((warning) => warning.includes('lifecyclePolicy: ECR will reject this policy'))).toEqual(
      expected === undefined ? [] : [expect.stringContaining(expected)],
    );
  });

  it.each([
    ['arn:aws:kms:us-east-1:123456789012:key/1', 'is a key in us-east-1, but the registry is in'],
    ['arn:aws:kms:eu-central-1:123456789012:key/1', undefined],
    ['alias/mirror', undefined],
  ])('warns of a key of another region: %s', (kmsKey, expected) => {
    const warnings = warningsOf(
      parse(options(`      encryptionConfiguration: {encryptionType: KMS, kmsKey: "${kmsKey}"}\n`)),
    ).filter((warning) => warning.includes('kmsKey'));
    expect(warnings).toEqual(expected === undefined ? [] : [expect.stringContaining(expected)]);
  });

  it('accepts everything at its limit', () => {
    const tags = Array.from({ length: 50 }, (_, i) => `{key: k${i}, value: v}`).join(', ');
    const text = options(`      tags: [${tags}]\n      lifecyclePolicy: '{"rules":[${rules(50)}]}'\n`);
    expect(problemsOf(text)).toEqual([]);
  });

  it('accepts ECR Public as a source with a role', () => {
    const source = '{type: aws, aws: {public: true, role: "arn:aws:iam::123456789012:role/pull"}}';
    const { config } = parse(`${aws('')}source: {registries: [${source}]}\n`);
    expect(config.source.registries).toMatchObject([
      { type: 'aws', aws: { public: true, role: 'arn:aws:iam::123456789012:role/pull' } },
    ]);
  });
});
