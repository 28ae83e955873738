import type { AwsConfig } from './config.js';
import type { RegistryLogin } from '../../credentials/renewed-login.js';
import { RegistryError } from '../../registry/errors.js';
import type { AwsClients } from './clients.js';
import { awsProblem } from './problems.js';

/** Time limit in milliseconds for one login, including retries and assuming a role. */
const LOGIN_TIMEOUT_MS = 30_000;

/**
 * The registry's password from GetAuthorizationToken: valid for twelve hours, for all registries that the identity may
 * use.
 */
export async function ecrLogin(
  { public: isPublic }: AwsConfig,
  host: string,
  clients: AwsClients,
): Promise<RegistryLogin> {
  const { sdk, ecr, ecrPublic } = clients;
  const options = { abortSignal: AbortSignal.timeout(LOGIN_TIMEOUT_MS) };
  const action = `${isPublic === true ? 'ecr-public' : 'ecr'}:GetAuthorizationToken`;
  try {
    const data =
      isPublic === true
        ? (await ecrPublic.send(new sdk.GetPublicAuthorizationTokenCommand({}), options)).authorizationData
        : (await ecr.send(new sdk.GetAuthorizationTokenCommand({}), options)).authorizationData?.[0];
    return readAuthorization(host, action, data);
  } catch (error) {
    throw awsProblem(host, action, '*', error);
  }
}

function readAuthorization(
  host: string,
  action: string,
  data: { readonly authorizationToken?: string | undefined; readonly expiresAt?: Date | undefined } | undefined,
): RegistryLogin {
  const decoded = Buffer.from(data?.authorizationToken ?? '', 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon <= 0 || data?.expiresAt === undefined) {
    throw new RegistryError(`${action} answered without a login`, { kind: 'invalid', host, retryable: true });
  }
  return {
    credentials: { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) },
    expires: data.expiresAt.getTime(),
  };
}
