import type { AwsConfig, EcrOptions } from '../../../../extension-service/src/kinds/aws/config.js';

export const defaultEcrOptions: EcrOptions = {
  tags: [],
  imageTagMutability: 'MUTABLE',
  imageTagMutabilityExclusionFilters: [],
  imageScanningConfiguration: { imageScanOnPush: true },
  encryptionConfiguration: { encryptionType: 'AES256' },
};

/** An AWS target with the loader's defaults. */
export function awsConfig(more: Partial<AwsConfig> = {}): AwsConfig {
  return {
    accountId: '123456789012',
    region: 'eu-central-1',
    prefix: '',
    ecrOptions: defaultEcrOptions,
    repositories: { mode: 'api', reconcilePolicies: true },
    quotas: { putImage: 10, initiateLayerUpload: 100, completeLayerUpload: 100 },
    ...more,
  };
}
