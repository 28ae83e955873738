import type { EcrEndpoint } from './naming-hosts.js';

export interface AwsConfig {
  /** Sources only: Amazon's public registry, public.ecr.aws; account and region are empty then. */
  readonly public?: boolean;
  /** Twelve digits, as text: leading zeros matter. */
  readonly accountId: string;
  readonly region: string;
  readonly endpoint?: EcrEndpoint;
  /** ARN of the role that all calls are made with. */
  readonly role?: string;
  readonly externalId?: string;
  readonly roleSessionName?: string;
  /** Path under the host, without slashes around it; '' for none. */
  readonly prefix: string;
  readonly ecrOptions: EcrOptions;
  readonly repositories: {
    /** `api`: created by CreateRepository. `createOnPush`: by ECR's own templates. `preexisting`: not by the service. */
    readonly mode: 'api' | 'createOnPush' | 'preexisting';
    /** Whether repositories that are there get the configured policies when these change. */
    readonly reconcilePolicies: boolean;
  };
  /** Requests a second of the account in the region. */
  readonly quotas: {
    readonly putImage: number;
    readonly initiateLayerUpload: number;
    readonly completeLayerUpload: number;
  };
}

export interface EcrOptions {
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly imageTagMutability: 'MUTABLE' | 'IMMUTABLE' | 'IMMUTABLE_WITH_EXCLUSION' | 'MUTABLE_WITH_EXCLUSION';
  /** The tags that the `_WITH_EXCLUSION` forms leave out. */
  readonly imageTagMutabilityExclusionFilters: readonly { readonly filterType: 'WILDCARD'; readonly filter: string }[];
  readonly imageScanningConfiguration: { readonly imageScanOnPush: boolean };
  readonly encryptionConfiguration: {
    readonly encryptionType: 'AES256' | 'KMS' | 'KMS_DSSE';
    readonly kmsKey?: string;
  };
  /** Raw JSON for SetRepositoryPolicy. */
  readonly accessPolicy?: string;
  /** Raw JSON for PutLifecyclePolicy. */
  readonly lifecyclePolicy?: string;
}
