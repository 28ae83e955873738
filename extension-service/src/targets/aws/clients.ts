import type { ECRClient, ECRClientConfig } from '@aws-sdk/client-ecr';
import type { ECRPUBLICClient } from '@aws-sdk/client-ecr-public';
import type { STSClient } from '@aws-sdk/client-sts';
import type { AwsConfig } from '../../core/config/model.js';
import { assumedRole } from './assumed-role.js';
import { awsRequestHandler } from './request-handler.js';
import type * as sdkModule from './sdk.js';

export type Sdk = typeof sdkModule;

/** The SDK's clients for one configured registry. */
export interface AwsClients {
  readonly sdk: Sdk;
  readonly ecr: ECRClient;
  /** With the identity that calls ECR: the assumed role, if there is one. */
  readonly sts: STSClient;
  /** ECR Public has one API for the whole world. */
  readonly ecrPublic: ECRPUBLICClient;
}

/** The region of ECR Public's API. */
export const publicRegion = 'us-east-1';
/** Tries of one call in all; the SDK waits between them, and slows down by itself where AWS throttles. */
const ATTEMPTS = 6;

/**
 * Loads the SDK and makes the clients. Credentials come from the SDK's default chain: environment (static keys of a
 * Secret), web identity (IRSA), container credentials (EKS Pod Identity), shared profile, instance metadata; on top of
 * it `role` is assumed. Endpoints are the region's and its partition's, or those of AWS_ENDPOINT_URL_ECR and
 * AWS_ENDPOINT_URL_STS.
 */
export async function loadAwsClients(
  aws: AwsConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<AwsClients> {
  const sdk = await import('./sdk.js');
  const region = aws.public === true ? publicRegion : aws.region;
  const variant = aws.endpoint ?? 'standard';
  const common = {
    region,
    requestHandler: awsRequestHandler(sdk, env),
    maxAttempts: ATTEMPTS,
    retryMode: 'adaptive',
    // Not said, the SDK's own settings hold (AWS_USE_FIPS_ENDPOINT, a profile's).
    ...(variant.startsWith('fips') && { useFipsEndpoint: true }),
    ...(variant.endsWith('dual-stack') && { useDualstackEndpoint: true }),
  } satisfies ECRClientConfig;
  const credentials =
    aws.role === undefined ? {} : { credentials: assumedRole(sdk, new sdk.STSClient(common), aws, aws.role) };
  return {
    sdk,
    ecr: new sdk.ECRClient({ ...common, ...credentials }),
    sts: new sdk.STSClient({ ...common, ...credentials }),
    ecrPublic: new sdk.ECRPUBLICClient({ ...common, region: publicRegion, ...credentials }),
  };
}
