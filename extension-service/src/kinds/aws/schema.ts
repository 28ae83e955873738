import * as z from 'zod';
import type { AwsConfig, EcrOptions } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import { described } from '../../schema/field.js';
import { readJson } from '../../util/json-text.js';
import type { Check } from '../../schema/leaves.js';
import { stringField, choice, digits, flag, matching, text, wholeNumber } from '../../schema/leaves.js';
import { prefix } from '../../schema/prefix.js';

/** ECR's quotas: policy text of SetRepositoryPolicy, lifecycle policy text and rules, tags of a resource. */
export const ecrLimits = {
  accessPolicy: 10_240,
  lifecyclePolicy: 30_720,
  lifecycleRules: 50,
  tags: 50,
  exclusionFilters: 5,
} as const;

const regionAllowed = 'expected an AWS region such as eu-central-1';
const regionCheck = matching(/^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}$/, 'AWS region', regionAllowed);

const accountAllowed = 'expected a 12-digit AWS account ID';

const roleAllowed = 'expected the ARN of a role such as arn:aws:iam::123456789012:role/mirror';
const roleCheck = matching(
  /^arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role\/(?:[\x21-\x7e]{1,510}\/)?[\w+=,.@-]{1,64}$/,
  'role ARN',
  roleAllowed,
);

function jsonObject(what: string, limit: number, more?: (value: object) => string | undefined): Check {
  const allowed = `expected ${what} as raw JSON, at most ${limit} characters`;
  return (value) => {
    if (value.length > limit) return { message: `has ${value.length} characters`, allowed };
    const result = readJson(value);
    if ('problem' in result) {
      const { offset, message } = result.problem;
      return { message: `not valid JSON: ${message}`, allowed, offset };
    }
    if (typeof result.value !== 'object' || result.value === null || Array.isArray(result.value)) {
      return { message: 'not a JSON object', allowed };
    }
    const fault = more?.(result.value);
    return fault === undefined ? undefined : { message: fault, allowed: `see ECR's lifecycle policy syntax` };
  };
}

function lifecycleFault(policy: object): string | undefined {
  const rules: unknown = 'rules' in policy ? policy.rules : undefined;
  if (!Array.isArray(rules)) return 'this lifecycle policy has no "rules" list';
  if (rules.length > ecrLimits.lifecycleRules) {
    return `this lifecycle policy has ${rules.length} rules, ECR allows ${ecrLimits.lifecycleRules}`;
  }
  const priorities = rules.map((rule: unknown) =>
    typeof rule === 'object' && rule !== null && 'rulePriority' in rule ? rule.rulePriority : undefined,
  );
  const missing = priorities.findIndex((priority) => !(Number.isInteger(priority) && Number(priority) > 0));
  if (missing >= 0) return `rule ${missing + 1} of this lifecycle policy has no "rulePriority", a number from 1`;
  const twice = priorities.find((priority, index) => priorities.indexOf(priority) < index);
  return twice === undefined ? undefined : `two rules of this lifecycle policy have "rulePriority" ${Number(twice)}`;
}

const tagCharacters = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const tagPartsAllowed = 'expected letters, digits, spaces and _ . : / = + - @';

const tag = z.strictObject({
  key: text({ about: 'Name of the tag.', allowed: `${tagPartsAllowed}, up to 128 characters` }, (key) => {
    if (key.length > 128) return { message: `has ${key.length} characters`, allowed: 'the maximum is 128' };
    if (/^aws:/i.test(key)) return { message: `${quoteInput(key)} begins with aws:, which is reserved by AWS` };
    return tagCharacters.test(key)
      ? undefined
      : { message: `${quoteInput(key)} is not a valid tag`, allowed: tagPartsAllowed };
  }),
  value: stringField({ about: 'Value of the tag.', allowed: `${tagPartsAllowed}, up to 256 characters` }, (value) => {
    if (value.length > 256) return { message: `has ${value.length} characters`, allowed: 'the maximum is 256' };
    return tagCharacters.test(value)
      ? undefined
      : { message: `${quoteInput(value)} is not a valid tag value`, allowed: tagPartsAllowed };
  }),
});

const filterAllowed = 'expected letters, digits and . _ -, with at most two *, such as latest* or dev-*';

const exclusionFilter = z.strictObject({
  filterType: choice(['WILDCARD'], 'The kind of filter.').default('WILDCARD'),
  filter: text(
    { about: 'Matching tags are exceptions; `*` matches any characters.', allowed: filterAllowed },
    (value) => {
      if (value.length > 128) return { message: `has ${value.length} characters`, allowed: 'the maximum is 128' };
      const isValid = /^[A-Za-z0-9._*-]+$/.test(value) && value.split('*').length <= 3;
      return isValid
        ? undefined
        : { message: `${quoteInput(value)} is not a valid tag filter`, allowed: filterAllowed };
    },
  ),
});

const repositories = z.strictObject({
  mode: choice(
    ['api', 'createOnPush', 'preexisting'],
    'Who creates repositories. `api`: the service, with `ecrOptions`. `createOnPush`: ECR, with its repository creation templates. `preexisting`: you do.',
  ).default('api'),
  reconcilePolicies: flag(
    'Update existing repositories when the configured policies have changed; only with `mode: api`.',
  ).default(true),
});

const quota = (name: string, value: number) =>
  wholeNumber(1, 100_000, `The account's quota for ${name} in this region, in requests per second.`).default(value);

const encryption = z
  .strictObject({
    encryptionType: choice(['AES256', 'KMS', 'KMS_DSSE'], 'How ECR encrypts new repositories.').default('AES256'),
    kmsKey: text({
      about: 'The KMS key for `KMS` and `KMS_DSSE`.',
      allowed: 'expected the ARN, ID or alias of a KMS key, such as alias/aws/ecr',
    }).exactOptional(),
  })
  // ECR rejects a key with AES256; the example file of k8s-image-swapper contains one.
  .transform(({ encryptionType, kmsKey }) => ({
    encryptionType,
    ...(kmsKey !== undefined && encryptionType !== 'AES256' && { kmsKey }),
  }));

const ecrOptions = z.strictObject({
  tags: described(z.array(tag).readonly(), 'Resource tags of new repositories.').default([]),
  imageTagMutability: choice(
    ['MUTABLE', 'IMMUTABLE', 'IMMUTABLE_WITH_EXCLUSION', 'MUTABLE_WITH_EXCLUSION'],
    'Whether tags in new repositories are mutable.',
  ).default('MUTABLE'),
  imageTagMutabilityExclusionFilters: described(
    z.array(exclusionFilter).readonly(),
    'Exceptions for `IMMUTABLE_WITH_EXCLUSION` and `MUTABLE_WITH_EXCLUSION`; at most five.',
  ).default([]),
  imageScanningConfiguration: described(
    z.strictObject({
      imageScanOnPush: flag('Whether ECR scans images in new repositories on push.').default(true),
    }),
    'Vulnerability scans.',
  ).prefault({}),
  encryptionConfiguration: described(encryption, 'Encryption at rest.').prefault({}),
  accessPolicy: text(
    {
      about: 'Repository policy for new repositories, for example to allow pulls from other accounts.',
      allowed: 'expected a repository policy as raw JSON',
    },
    jsonObject('a repository policy', ecrLimits.accessPolicy),
  ).exactOptional(),
  lifecyclePolicy: text(
    {
      about: 'Rules by which ECR expires images in new repositories.',
      allowed: 'expected a lifecycle policy as raw JSON',
    },
    jsonObject('a lifecycle policy', ecrLimits.lifecyclePolicy, lifecycleFault),
  ).exactOptional(),
}) satisfies z.ZodType<EcrOptions>;

const accountId = () =>
  digits(
    { about: 'The AWS account that the registry belongs to.', allowed: accountAllowed },
    matching(/^[0-9]+$/, 'AWS account', accountAllowed),
  );
const region = () => text({ about: 'The region that the registry is in.', allowed: regionAllowed }, regionCheck);

const sessionNameAllowed = 'expected 2 to 64 letters, digits and _ + = , . @ -';
const externalIdAllowed = 'expected 2 to 1224 letters, digits and _ + = , . @ : / -';

const registry = {
  accountId: accountId(),
  region: region(),
  endpoint: choice(
    ['standard', 'fips', 'dual-stack', 'fips-dual-stack'],
    "Which of the registry's host names to use in image references, and which AWS endpoints to call.",
  ).exactOptional(),
  role: text(
    { about: 'A role to assume for all calls to ECR, for example in another account.', allowed: roleAllowed },
    roleCheck,
  ).exactOptional(),
  externalId: text(
    {
      about: "The external ID that the role's trust policy requires.",
      allowed: externalIdAllowed,
    },
    matching(/^[\w+=,.@:/-]{2,1224}$/, 'external ID', externalIdAllowed),
  ).exactOptional(),
  roleSessionName: text(
    {
      about: 'The session name in CloudTrail.',
      allowed: sessionNameAllowed,
      defaultText: 'image-swapper',
    },
    matching(/^[\w+=,.@-]{2,64}$/, 'session name', sessionNameAllowed),
  ).exactOptional(),
  prefix: prefix(),
  ecrOptions: described(ecrOptions, 'Settings of new repositories.').prefault({}),
};

const pushes = {
  repositories: described(repositories, 'How repositories are created and updated.').prefault({}),
  quotas: described(
    z.strictObject({
      putImage: quota('PutImage', 10),
      initiateLayerUpload: quota('InitiateLayerUpload', 100),
      completeLayerUpload: quota('CompleteLayerUpload', 100),
    }),
    'The service stays below these request rates, and slows down further while AWS throttles it.',
  ).prefault({}),
};

/** A private registry of Amazon ECR. */
export const awsSchema = z.strictObject({ ...registry, ...pushes }) satisfies z.ZodType<AwsConfig>;

const noPushes = z.object(pushes).parse({});

/** An ECR registry as a source; also ECR Public. */
export const awsSourceSchema = z
  .strictObject({
    public: flag('The registry is public.ecr.aws; leave out `accountId` and `region`.').default(false),
    ...registry,
    accountId: accountId().default(''),
    region: region().default(''),
  })
  .transform((aws): AwsConfig => ({ ...aws, ...noPushes })) satisfies z.ZodType<AwsConfig>;
