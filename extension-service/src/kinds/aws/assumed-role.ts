import type { STSClient } from '@aws-sdk/client-sts';
import type { AwsConfig } from './config.js';
import type * as Sdk from './sdk.js';
import { AwsCallError } from './problems.js';

/** Credentials in the SDK's form; it requests new ones five minutes before they expire. */
interface RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}

/** Shown in CloudTrail for each call. */
export const defaultSessionName = 'image-swapper';

/** Assumes a role with the identity that `sts` has. */
export function assumedRole(
  sdk: typeof Sdk,
  sts: STSClient,
  { externalId, roleSessionName }: AwsConfig,
  role: string,
): () => Promise<RoleCredentials> {
  return async () => {
    const command = new sdk.AssumeRoleCommand({
      RoleArn: role,
      RoleSessionName: roleSessionName ?? defaultSessionName,
      ...(externalId !== undefined && { ExternalId: externalId }),
    });
    // The call that waits for these credentials did not fail itself, so the error names the one that did.
    const { Credentials } = await sts.send(command).catch((cause: unknown) => {
      throw new AwsCallError('sts:AssumeRole', role, cause);
    });
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = Credentials ?? {};
    if (
      AccessKeyId === undefined ||
      SecretAccessKey === undefined ||
      SessionToken === undefined ||
      Expiration === undefined
    ) {
      throw new AwsCallError('sts:AssumeRole', role, new Error('STS answered without credentials'));
    }
    return {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: SessionToken,
      expiration: Expiration,
    };
  };
}
