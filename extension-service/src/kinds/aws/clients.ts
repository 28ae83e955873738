import type { ECRClient, ECRClientConfig } from '@aws-sdk/client-ecr';
import type { ECRPUBLICClient } from '@aws-sdk/client-ecr-public';
import type { STSClient } from '@aws-sdk/client-sts';
import type { AwsConfig } from './config.js';
import { assumedRole } from './assumed-role.js';
import { awsRequestHandler } from './request-handler.js';
import type * as Sdk from './sdk.js';

/** The SDK's clients for one configured registry. */
export interface AwsClients {
  readonly sdk: typeof Sdk;
  readonly ecr: ECRClient;
  /** With the identity that calls ECR: the assumed role, if there is one. */
  readonly sts: STSClient;
  /** ECR Public has one API for the whole world. */
  readonly ecrPublic: ECRPUBLICClient;
}

/** The region of ECR Public's API. */
export const publicRegion = 'us-east-1';
/** Tries of one call in all; the SDK waits between them, longer where AWS throttles. */
const MAX_ATTEMPTS = 8;

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
  // The version is pinned, and a warning about Node's age would stand between the lines of the log.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await import('./sdk.js');
  const region = aws.public === true ? publicRegion : aws.region;
  const variant = aws.endpoint ?? 'standard';
  const common = {
    region,
    requestHandler: awsRequestHandler(sdk, env),
    maxAttempts: MAX_ATTEMPTS,
    // Not said, the SDK's own settings hold (AWS_USE_FIPS_ENDPOINT, a profile's).
    ...(variant.startsWith('fips') && { useFipsEndpoint: true }),
    ...(variant.endsWith('dual-stack') && { useDualstackEndpoint: true }),
  } satisfies ECRClientConfig;
  const credentials =
    aws.role === undefined ? {} : { credentials: assumedRole(sdk, new sdk.STSClient(common), aws, aws.role) };
  const ecr = new sdk.ECRClient({ ...common, ...credentials });
  ecr.middlewareStack.add(limitsAreFinal, { step: 'deserialize', priority: 'high', name: 'limitsAreFinal' });
  return {
    sdk,
    ecr,
    sts: new sdk.STSClient({ ...common, ...credentials }),
    ecrPublic: new sdk.ECRPUBLICClient({ ...common, region: publicRegion, ...credentials }),
  };
}

/** Error name of ECR when an account has all the repositories that it may have. */
export const limitError = 'RepositoryLimitExceeded';

/**
 * The SDK takes LimitExceededException for throttling, as it is with other services, and tries again for half a minute;
 * ECR's means a quota that only a person can raise.
 */
function limitsAreFinal<Args, Output>(next: (args: Args) => Promise<Output>): (args: Args) => Promise<Output> {
  return async (args) => {
    try {
      return await next(args);
    } catch (error) {
      if (error instanceof Error && error.name === 'LimitExceededException') error.name = limitError;
      throw error;
    }
  };
}
