import type { AwsConfig, EcrOptions } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import { rejectedRule } from './lifecycle-syntax.js';
import { hasDualStack } from './naming-hosts.js';
import type { Parsed } from '../../schema/parsed.js';
import { ecrLimits } from './schema.js';
import type { KeyPath, RuleScope } from '../../schema/rule-scope.js';

/** Partitions of AWS with their regions (botocore's partitions.json, `regionRegex`). */
const partitions: readonly { readonly name: string; readonly regions: RegExp }[] = [
  { name: 'aws-cn', regions: /^cn-/ },
  { name: 'aws-us-gov', regions: /^us-gov-/ },
  { name: 'aws-iso', regions: /^us-iso-/ },
  { name: 'aws-iso-b', regions: /^us-isob-/ },
  { name: 'aws-iso-e', regions: /^eu-isoe-/ },
  { name: 'aws-iso-f', regions: /^us-isof-/ },
  { name: 'aws-eusc', regions: /^eusc-/ },
  { name: 'aws', regions: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-/ },
];

/** Where AWS has FIPS hosts (aws.amazon.com/compliance/fips); the SDK makes their names for every region. */
const FIPS_REGIONS = /^(?:us|ca)-/;

/** Checks combinations of keys of one `aws` mapping. */
export function awsRules(scope: RuleScope, aws: Parsed<AwsConfig>, isSource: boolean): void {
  checkAccount(scope, aws);
  if (isSource) checkAwsSource(scope, aws);
  checkRole(scope);
  checkPartition(scope, aws);
  if (aws.ecrOptions !== undefined) checkEcrOptions(scope, aws.ecrOptions, aws.region);
}

/** Number of digits of an account that was read as a number and had one leading zero. */
const LOST_ZERO_LENGTH = 11;

function checkAccount(scope: RuleScope, { accountId }: Parsed<AwsConfig>): void {
  // Empty: ECR Public.
  if (accountId === undefined || accountId === '' || accountId.length === 12) return;
  const message = `${quoteInput(accountId)} has ${accountId.length} digits, and AWS accounts have 12`;
  // k8s-image-swapper's own guide contains an account with 9 digits, which that program accepts.
  if (accountId.length !== LOST_ZERO_LENGTH) return scope.warn(['accountId'], message);
  const advice = `a leading zero was lost, because Helm reads unquoted digits as a number: write accountId: "0${accountId}"`;
  scope.error(['accountId'], message, advice);
}

/** ECR Public has no account and no region; any other registry has one of each. */
function checkAwsSource(scope: RuleScope, { public: isPublic }: Parsed<AwsConfig>): void {
  for (const key of ['accountId', 'region']) {
    const where = [key];
    const isWritten = scope.isWritten(where);
    if (isPublic === true && isWritten) scope.error(where, 'has no effect with public: true', 'leave it out');
    if (isPublic === false && !isWritten) {
      scope.error(where, 'required', 'public: true is only for public.ecr.aws');
    }
  }
}

function checkRole(scope: RuleScope): void {
  if (scope.isWritten(['role'])) return;
  for (const key of ['externalId', 'roleSessionName']) {
    const where = [key];
    if (scope.isWritten(where)) scope.error(where, 'has no effect without role');
  }
}

function checkPartition(scope: RuleScope, { region, endpoint, role }: Parsed<AwsConfig>): void {
  if (region === undefined || region === '') return;
  const partition = partitions.find(({ regions }) => regions.test(region));
  if (partition === undefined) {
    const allowed = 'expected a region such as us-east-1, eu-central-1, us-gov-west-1 or cn-north-1';
    scope.error(['region'], `${quoteInput(region)} is not in any AWS partition`, allowed);
    return;
  }
  if (endpoint?.endsWith('dual-stack') === true && !hasDualStack(region)) {
    scope.error(['endpoint'], `region ${region} has no dual-stack hosts`, 'use standard or fips');
  }
  if (endpoint?.startsWith('fips') === true && !FIPS_REGIONS.test(region)) {
    const usable = endpoint === 'fips' ? 'standard' : 'dual-stack';
    scope.warn(['endpoint'], `AWS lists no FIPS hosts of ECR for region ${region}`, `use ${usable} if there are none`);
  }
  const arn = /^arn:(aws[a-z-]*):iam::/.exec(role ?? '');
  if (arn === null || arn[1] === partition.name) return;
  scope.report(
    scope.dialect === 'k8s-image-swapper' ? 'warning' : 'error',
    ['role'],
    `is a role of partition ${arn[1] ?? ''}, but region ${region} is in ${partition.name}`,
    `the ARN must begin with arn:${partition.name}:`,
  );
}

function checkEcrOptions(scope: RuleScope, options: Parsed<EcrOptions>, region: string | undefined): void {
  const path = ['ecrOptions'];
  checkTags(scope, [...path, 'tags'], options.tags);
  checkExclusions(scope, path, options);
  checkEncryption(scope, path, options, region);
  const { lifecyclePolicy } = options;
  const fault = lifecyclePolicy === undefined ? undefined : rejectedRule(lifecyclePolicy);
  if (fault !== undefined) scope.warn([...path, 'lifecyclePolicy'], `ECR will reject this policy: ${fault}`);
}

function checkEncryption(
  scope: RuleScope,
  path: KeyPath,
  options: Parsed<EcrOptions>,
  region: string | undefined,
): void {
  const encryption = [...path, 'encryptionConfiguration'];
  const type = options.encryptionConfiguration?.encryptionType;
  const kmsKey = [...encryption, 'kmsKey'];
  const hasKey = scope.isWritten(kmsKey);
  if (type?.startsWith('KMS') === true && !hasKey) {
    const allowed = 'set the ARN, ID or alias of a KMS key; alias/aws/ecr is the key that AWS manages';
    scope.missing(kmsKey, [...encryption, 'encryptionType'], `required with encryptionType ${type}`, allowed);
  }
  // The schema drops a key that ECR would reject.
  if (type === 'AES256' && hasKey) {
    scope.warn(kmsKey, 'has no effect with encryptionType AES256', 'set encryptionType: KMS to use it');
  }
  // docs.aws.amazon.com/AmazonECR/latest/APIReference/API_EncryptionConfiguration.html
  const keyRegion = /^arn:[^:]*:kms:([^:]+):/.exec(options.encryptionConfiguration?.kmsKey ?? '')?.[1];
  if (keyRegion !== undefined && region !== undefined && keyRegion !== region) {
    const message = `is a key in ${keyRegion}, but the registry is in ${region}`;
    scope.warn(kmsKey, message, 'both regions must be the same');
  }
}

function checkTags(scope: RuleScope, path: KeyPath, tags: Parsed<EcrOptions>['tags'] = []): void {
  if (tags.length > ecrLimits.tags) {
    scope.error(path, `there are ${tags.length} tags`, `ECR allows ${ecrLimits.tags}`);
  }
  const seen = new Set<string>();
  for (const [index, tag] of tags.entries()) {
    const key = tag?.key;
    if (key === undefined) continue;
    if (seen.has(key)) scope.error([...path, index, 'key'], `the tag ${quoteInput(key)} is a duplicate`);
    seen.add(key);
  }
}

function checkExclusions(scope: RuleScope, path: KeyPath, options: Parsed<EcrOptions>): void {
  const { imageTagMutability: mutability, imageTagMutabilityExclusionFilters: filters } = options;
  const where = [...path, 'imageTagMutabilityExclusionFilters'];
  if (filters !== undefined && filters.length > ecrLimits.exclusionFilters) {
    scope.error(where, `there are ${filters.length} filters`, `ECR allows ${ecrLimits.exclusionFilters}`);
  }
  if (mutability === undefined || filters === undefined) return;
  const wanted = mutability.endsWith('_WITH_EXCLUSION');
  if (wanted && filters.length === 0) {
    const message = `required with imageTagMutability ${mutability}`;
    scope.missing(where, [...path, 'imageTagMutability'], message, 'set a list such as [{filter: latest}]');
  }
  if (!wanted && filters.length > 0) {
    const message = `has no effect with imageTagMutability ${quoteInput(mutability)}`;
    scope.error(where, message, 'use IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION');
  }
}
