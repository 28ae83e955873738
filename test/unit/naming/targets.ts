import type { AwsConfig } from '../../../extension-service/src/kinds/aws/config.js';
import type { GcpConfig } from '../../../extension-service/src/kinds/gcp/config.js';
import type { OciConfig } from '../../../extension-service/src/kinds/oci/config.js';
import type { TargetConfig } from '../../../extension-service/src/core/config/model.js';
import type { AcrConfig } from '../../../extension-service/src/kinds/acr/config.js';
import { awsConfig as defaultAwsConfig } from '../targets/aws/config.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';

export function awsConfig(aws: Partial<AwsConfig> = {}, name = 'ecr'): TargetConfig {
  return { name, type: 'aws', aws: defaultAwsConfig(aws) };
}

const gcpSettings = {
  createRepository: false,
  reconcilePolicies: true,
  repository: { labels: [] },
  cleanupDryRun: false,
  readers: [],
} as const;

export function gcpConfig(gcp: Partial<GcpConfig> = {}, name = 'gar'): TargetConfig {
  return {
    name,
    type: 'gcp',
    gcp: { location: 'europe-west1', projectId: 'my-project', repositoryId: 'mirror', ...gcpSettings, ...gcp },
  };
}

export function ociConfig(oci: Partial<OciConfig> = {}, name = 'oci'): TargetConfig {
  return {
    name,
    type: 'oci',
    oci: { registry: 'harbor.example.com:5000', prefix: '', insecure: false, ...oci },
  };
}

export function acrConfig(acr: Partial<AcrConfig> = {}, name = 'acr'): TargetConfig {
  return { name, type: 'acr', acr: { registry: 'contoso.azurecr.io', prefix: '', ...acr } };
}

export const ecr = namingTarget(awsConfig());
export const ecrWithPrefix = namingTarget(awsConfig({ prefix: 'mirror' }, 'ecr-prefix'));
export const gar = namingTarget(gcpConfig());
export const oci = namingTarget(ociConfig());
export const ociWithPrefix = namingTarget(ociConfig({ prefix: '/team/mirror/' }, 'oci-prefix'));

export const everyTarget = [
  ecr,
  ecrWithPrefix,
  namingTarget(awsConfig({ region: 'cn-north-1', prefix: 'a/b' }, 'ecr-china')),
  gar,
  namingTarget(gcpConfig({ projectId: 'example.com:project' }, 'gar-domain')),
  namingTarget(acrConfig()),
  namingTarget(acrConfig({ prefix: '/mirror/' }, 'acr-prefix')),
  oci,
  ociWithPrefix,
  namingTarget(ociConfig({ registry: '[::1]:5000' }, 'oci-ipv6')),
  namingTarget(ociConfig({ registry: 'localhost', prefix: `a${'/mirror'.repeat(21)}` }, 'oci-long')),
];
