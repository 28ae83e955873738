import { z } from 'zod';
import type { AwsConfig, EcrOptions } from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import { described } from '../field.js';
import { readJson } from '../json-text.js';
import type { Check } from '../leaves.js';
import { anyText, choice, digits, flag, matching, text } from '../leaves.js';
import { prefix } from './prefix.js';

/** ECR's quotas: policy text of SetRepositoryPolicy, lifecycle policy text and rules, tags of a resource. */
export const ecrLimits = { accessPolicy: 10_240, lifecyclePolicy: 30_720, lifecycleRules: 50, tags: 50 } as const;

const regionAllowed = 'an AWS region such as eu-central-1 is allowed';
const regionCheck = matching(/^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}$/, 'AWS region', regionAllowed);

const accountAllowed = 'the 12 digits of an AWS account are allowed';

const roleAllowed = 'the ARN of a role such as arn:aws:iam::123456789012:role/mirror is allowed';
const roleCheck = matching(
  /^arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role\/(?:[\x21-\x7e]{1,510}\/)?[\w+=,.@-]{1,64}$/,
  'role ARN',
  roleAllowed,
);

function jsonObject(what: string, limit: number, more?: (value: object) => string | undefined): Check {
  const allowed = `${what} as raw JSON is allowed, at most ${limit} characters`;
  return (value) => {
    if (value.length > limit) return { message: `has ${value.length} characters`, allowed };
    const result = readJson(value);
    if ('problem' in result) {
      const { offset, message } = result.problem;
      return { message: `this is no JSON: ${message}`, allowed, offset };
    }
    if (typeof result.value !== 'object' || result.value === null || Array.isArray(result.value)) {
      return { message: 'this is no JSON object', allowed };
    }
    const fault = more?.(result.value);
    return fault === undefined ? undefined : { message: fault, allowed: `see ECR's lifecycle policy syntax` };
  };
}

function lifecycleFault(policy: object): string | undefined {
  const rules: unknown = 'rules' in policy ? policy.rules : undefined;
  if (!Array.isArray(rules)) return 'this lifecycle policy has no list "rules"';
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
const tagPartsAllowed = 'letters, digits, spaces and _ . : / = + - @ are allowed';

const tag = z.strictObject({
  key: text({ about: 'Name of the tag.', allowed: `up to 128 characters; ${tagPartsAllowed}` }, (key) => {
    if (key.length > 128) return { message: `has ${key.length} characters`, allowed: 'at most 128 are allowed' };
    if (/^aws:/i.test(key)) return { message: `${quoteInput(key)} begins with aws:, which AWS keeps for itself` };
    return tagCharacters.test(key) ? undefined : { message: `${quoteInput(key)} is no tag`, allowed: tagPartsAllowed };
  }),
  value: anyText({ about: 'Value of the tag.', allowed: `up to 256 characters; ${tagPartsAllowed}` }, (value) => {
    if (value.length > 256) return { message: `has ${value.length} characters`, allowed: 'at most 256 are allowed' };
    return tagCharacters.test(value)
      ? undefined
      : { message: `${quoteInput(value)} is no tag value`, allowed: tagPartsAllowed };
  }),
});

const encryption = z
  .strictObject({
    encryptionType: choice(['AES256', 'KMS', 'KMS_DSSE'], 'How ECR encrypts new repositories.').default('AES256'),
    kmsKey: text({
      about: 'The key for `KMS` and `KMS_DSSE`.',
      allowed: 'the ARN, id or alias of a KMS key, such as alias/aws/ecr, is allowed',
    }).exactOptional(),
  })
  // ECR refuses a key beside AES256; the example file of k8s-image-swapper has one.
  .transform(({ encryptionType, kmsKey }) => ({
    encryptionType,
    ...(kmsKey !== undefined && encryptionType !== 'AES256' && { kmsKey }),
  }));

const ecrOptions = z.strictObject({
  tags: described(z.array(tag).readonly(), 'Resource tags of new repositories.').default([]),
  imageTagMutability: choice(
    ['MUTABLE', 'IMMUTABLE', 'IMMUTABLE_WITH_EXCLUSION', 'MUTABLE_WITH_EXCLUSION'],
    'Whether tags of new repositories can be moved.',
  ).default('MUTABLE'),
  imageScanningConfiguration: z
    .strictObject({
      imageScanOnPush: flag('Whether ECR scans images in new repositories when they come.').default(true),
    })
    .prefault({}),
  encryptionConfiguration: encryption.prefault({}),
  accessPolicy: text(
    {
      about: 'Permissions on new repositories, for pulls from other accounts for example.',
      allowed: 'a repository policy as raw JSON',
    },
    jsonObject('a repository policy', ecrLimits.accessPolicy),
  ).exactOptional(),
  lifecyclePolicy: text(
    { about: 'Rules by which ECR expires images of new repositories.', allowed: 'a lifecycle policy as raw JSON' },
    jsonObject('a lifecycle policy', ecrLimits.lifecyclePolicy, lifecycleFault),
  ).exactOptional(),
}) satisfies z.ZodType<EcrOptions>;

/** A private registry of Amazon ECR. */
export const awsSchema = z.strictObject({
  accountId: digits(
    { about: 'The AWS account that the registry belongs to.', allowed: accountAllowed },
    matching(/^[0-9]+$/, 'AWS account', accountAllowed),
  ),
  region: text({ about: 'The region that the registry is in.', allowed: regionAllowed }, regionCheck),
  role: text(
    { about: 'A role to assume for all calls to ECR, in another account for example.', allowed: roleAllowed },
    roleCheck,
  ).exactOptional(),
  prefix: prefix(),
  ecrOptions: described(ecrOptions, 'How repositories are created.').prefault({}),
}) satisfies z.ZodType<AwsConfig>;
