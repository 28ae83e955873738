import { z } from 'zod';
import type { RegistryConfig, TargetConfig, TargetOptions } from '../../core/config/model.js';
import type { FieldMeta } from '../field.js';
import { described, leaf } from '../field.js';
import { matching, platforms, text } from '../leaves.js';
import { awsSchema, awsSourceSchema } from './aws.js';
import { gcpSchema, gcpSourceSchema } from './gcp.js';
import { ociSchema } from './oci.js';
import { imageCopyPolicy, imageSwapPolicy } from './policies.js';

export const registryTypes = ['aws', 'gcp', 'oci'] as const;

const typeMeta: FieldMeta = {
  type: 'choice',
  about: 'Which of the keys aws, gcp and oci describes the registry.',
  allowed: `allowed are ${registryTypes.join(', ')}`,
  defaultText: 'the one of aws, gcp, oci that is there',
};

const members = {
  aws: { type: leaf(z.literal('aws'), typeMeta), aws: described(awsSchema, 'Amazon ECR.') },
  gcp: { type: leaf(z.literal('gcp'), typeMeta), gcp: described(gcpSchema, 'Google Artifact Registry.') },
  oci: { type: leaf(z.literal('oci'), typeMeta), oci: described(ociSchema, 'Any other registry.') },
};

/** What describes a registry, by its type. */
export const memberSchemas: Readonly<Record<string, z.ZodType>> = { aws: awsSchema, gcp: gcpSchema, oci: ociSchema };

/** An entry of `source.registries`. */
export const registrySchema = z.discriminatedUnion('type', [
  z.strictObject({ ...members.aws, aws: described(awsSourceSchema, 'Amazon ECR.') }),
  z.strictObject({ ...members.gcp, gcp: described(gcpSourceSchema, 'Google Artifact Registry.') }),
  z.strictObject(members.oci),
]) satisfies z.ZodType<RegistryConfig>;

const nameAllowed = 'up to 63 letters, digits, ., _ and - are allowed';
const nameCheck = matching(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, 'name', nameAllowed);

function name(about: string): z.ZodString {
  return text({ about, allowed: nameAllowed }, nameCheck);
}

function options() {
  return {
    match: text({
      about: 'A JMESPath expression over `{obj, container}`; only `true` selects this target.',
      allowed: 'a JMESPath expression is allowed',
      defaultText: 'selects everything',
    }).exactOptional(),
    imageSwapPolicy: imageSwapPolicy('Of this target, instead of the general one.').exactOptional(),
    imageCopyPolicy: imageCopyPolicy('Of this target, instead of the general one.').exactOptional(),
    platforms: platforms('What to copy to this target, instead of `mirror.platforms`.').exactOptional(),
  };
}

/** `target`: it may go without a name. */
export const targetSchema = z.discriminatedUnion('type', [
  z.strictObject({ ...members.aws, name: name('What messages and metrics call it.').default('default'), ...options() }),
  z.strictObject({ ...members.gcp, name: name('What messages and metrics call it.').default('default'), ...options() }),
  z.strictObject({ ...members.oci, name: name('What messages and metrics call it.').default('default'), ...options() }),
]) satisfies z.ZodType<TargetConfig & TargetOptions>;

/** An entry of `targets`. */
export const namedTargetSchema = z.discriminatedUnion('type', [
  z.strictObject({ ...members.aws, name: name('Unique; what messages and metrics call it.'), ...options() }),
  z.strictObject({ ...members.gcp, name: name('Unique; what messages and metrics call it.'), ...options() }),
  z.strictObject({ ...members.oci, name: name('Unique; what messages and metrics call it.'), ...options() }),
]) satisfies z.ZodType<TargetConfig & TargetOptions>;
