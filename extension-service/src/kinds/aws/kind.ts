import type { AwsConfig } from './config.js';
import type { RegistryKind } from '../kind.js';
import { ecrCovers } from './hosts.js';
import { awsNaming } from './naming.js';
import { QuotaPool } from './quotas.js';
import { awsRules } from './rules.js';
import { awsSchema, awsSourceSchema } from './schema.js';
import { EcrRegistry } from './registry.js';
import { awsCaBundle } from './request-handler.js';

/** Amazon ECR. */
export const aws: RegistryKind<AwsConfig> = {
  type: 'aws',
  about: 'Amazon ECR.',
  schema: awsSchema,
  sourceSchema: awsSourceSchema,
  rules: awsRules,
  naming: awsNaming,
  transport(_, env) {
    // For a registry of AWS, the CA certificates are those that the AWS command line trusts.
    const ca = awsCaBundle(env);
    return { insecure: false, ...(ca !== undefined && { ca }) };
  },
  files(_, env) {
    const bundle = env['AWS_CA_BUNDLE'] ?? '';
    return bundle === '' ? [] : [bundle];
  },
  cloud: {
    scope: (settings) => ({ covers: ecrCovers(settings) }),
    opener(options) {
      // A reload does not reset the quotas.
      const quotas = new QuotaPool(options.replicas);
      return { open: (settings, name) => new EcrRegistry(settings, name, { ...options, quotas }) };
    },
  },
};
