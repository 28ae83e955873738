import type { EcrEndpoint } from './naming-hosts.js';

export interface AwsConfig {
  /** Sources only: Amazon's public registry, public.ecr.aws; account and region are then empty. */
  readonly public?: boolean;
  /** Twelve digits as a string: leading zeros matter. */
  readonly accountId: string;
  readonly region: string;
  readonly endpoint?: EcrEndpoint;
  /** ARN of the role to use for all calls. */
  readonly role?: string;
  readonly externalId?: string;
  readonly roleSessionName?: string;
  /** Path below the host, without leading or trailing slashes; '' for none. */
  readonly prefix: string;
  readonly ecrOptions: EcrOptions;
  readonly repositories: {
    /**
     * `api`: created with CreateRepository. `createOnPush`: by ECR's own templates. `preexisting`: not by the service.
     */
    readonly mode: 'api' | 'createOnPush' | 'preexisting';
    /** Whether existing repositories get the configured policies when these change. */
    readonly reconcilePolicies: boolean;
  };
  /** Requests per second of the account in the region. */
  readonly quotas: {
    readonly putImage: number;
    readonly initiateLayerUpload: number;
    readonly completeLayerUpload: number;
  };
}

export interface EcrOptions {
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly imageTagMutability: 'MUTABLE' | 'IMMUTABLE' | 'IMMUTABLE_WITH_EXCLUSION' | 'MUTABLE_WITH_EXCLUSION';
  /** The tags that the `_WITH_EXCLUSION` modes exclude. */
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
