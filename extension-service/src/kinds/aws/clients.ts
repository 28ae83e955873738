import type { ECRClient, ECRClientConfig } from '@aws-sdk/client-ecr';
import type { ECRPUBLICClient } from '@aws-sdk/client-ecr-public';
import type { STSClient } from '@aws-sdk/client-sts';
import type { AwsConfig } from './config.js';
import { assumedRole } from './assumed-role.js';
import { rememberSource } from './credential-source.js';
import { awsRequestHandler } from './request-handler.js';
import type * as Sdk from './sdk.js';

/** The SDK's clients for one configured registry. */
export interface AwsClients {
  readonly sdk: typeof Sdk;
  readonly ecr: ECRClient;
  /** With the identity that calls ECR: the assumed role, if any. */
  readonly sts: STSClient;
  /** ECR Public has a single API for all regions. */
  readonly ecrPublic: ECRPUBLICClient;
}

/** The region of ECR Public's API. */
export const publicRegion = 'us-east-1';
/** Maximum tries of one call; the SDK waits between them, longer if AWS throttles. */
const MAX_ATTEMPTS = 8;

/**
 * Loads the SDK and creates the clients. Credentials come from the SDK's default chain: environment (static keys of a
 * Secret), web identity (IRSA), container credentials (EKS Pod Identity), shared profile, instance metadata; with
 * these, `role` is assumed. Endpoints are those of the region and its partition, or those in AWS_ENDPOINT_URL_ECR and
 * AWS_ENDPOINT_URL_STS.
 */
export async function loadAwsClients(
  aws: AwsConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<AwsClients> {
  // The version is pinned, and a warning about Node's age would appear in the log.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await import('./sdk.js');
  const region = aws.public === true ? publicRegion : aws.region;
  const variant = aws.endpoint ?? 'standard';
  const common = {
    region,
    requestHandler: awsRequestHandler(sdk, env),
    maxAttempts: MAX_ATTEMPTS,
    // If unset, the SDK's own settings apply (AWS_USE_FIPS_ENDPOINT, a profile's).
    ...(variant.startsWith('fips') && { useFipsEndpoint: true }),
    ...(variant.endsWith('dual-stack') && { useDualstackEndpoint: true }),
  } satisfies ECRClientConfig;
  const own = new sdk.STSClient(common);
  const credentials = aws.role === undefined ? {} : { credentials: assumedRole(sdk, own, aws, aws.role) };
  const ecr = new sdk.ECRClient({ ...common, ...credentials });
  ecr.middlewareStack.add(limitsAreFinal, { step: 'deserialize', priority: 'high', name: 'limitsAreFinal' });
  const sts = new sdk.STSClient({ ...common, ...credentials });
  const ecrPublic = new sdk.ECRPUBLICClient({ ...common, region: publicRegion, ...credentials });
  const remember = rememberSource(env);
  const first = { step: 'initialize', name: 'rememberSource' } as const;
  own.middlewareStack.add(remember, first);
  ecr.middlewareStack.add(remember, first);
  sts.middlewareStack.add(remember, first);
  ecrPublic.middlewareStack.add(remember, first);
  return { sdk, ecr, sts, ecrPublic };
}

/** ECR's error name if an account has reached its maximum number of repositories. */
export const limitError = 'RepositoryLimitExceeded';

/**
 * The SDK treats LimitExceededException as throttling, as in other services, and retries for half a minute; ECR means a
 * quota that only a person can raise.
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
