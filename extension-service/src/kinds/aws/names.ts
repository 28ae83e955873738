import type { AwsConfig } from './config.js';
import { partitionOf } from './naming-hosts.js';
import type { EcrNames } from './policies.js';

export function ecrNames({ accountId, region }: AwsConfig): EcrNames {
  const partition = partitionOf(region);
  return { accountId, arn: (repository) => `arn:${partition}:ecr:${region}:${accountId}:repository/${repository}` };
}
