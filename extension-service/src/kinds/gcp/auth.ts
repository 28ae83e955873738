import type { Agent } from 'node:https';
import type { GcpConfig } from './config.js';
import { untilAborted } from '../../registry/transport/abort.js';
import { cloudNetwork, trustingAgents } from '../trusting-agent.js';
import { readCredentialsFile } from './credentials-file.js';
import { metadataToken } from './metadata.js';
import { authProblem } from './problems.js';
import type { AuthClient } from './sdk.js';
import type * as Sdk from './sdk.js';
import type { AccessToken } from './access-token.js';

/** The scope that Artifact Registry requires for pushes; narrower scopes are rejected. */
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
/** Time limit in milliseconds for one token, including the libraries' retries, a federation and an impersonation. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Time limit in milliseconds for one answer of a token service. */
const ANSWER_TIMEOUT_MS = 10_000;
/** The lifetime if a token service does not return one. */
const DEFAULT_LIFETIME_MS = 300_000;

/** Options for the library's requests. */
interface Transport {
  readonly timeout: number;
  readonly agent?: (url: URL) => Agent;
}

/**
 * An access token from Application Default Credentials in all their forms (a credentials file of any type, else the
 * metadata server: Workload Identity on GKE, the node's account elsewhere), or of the service account that they
 * impersonate. Nothing is cached here: the caller keeps the token, and files and roles change.
 *
 * @throws RegistryError with the missing setting
 */
export async function accessToken(
  gcp: GcpConfig,
  host: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<AccessToken> {
  const { serviceAccount } = gcp;
  const document = await readCredentialsFile(gcp, host, env);
  // The libraries take a second to load, so they are loaded only if needed.
  const own = document === undefined ? await metadataToken(host, SCOPES, env) : undefined;
  if (own !== undefined && serviceAccount === undefined) return own;
  const sdk = await import('./sdk.js');
  const agent = trustingAgents(cloudNetwork(env));
  const transport: Transport = { timeout: ANSWER_TIMEOUT_MS, ...(agent !== undefined && { agent }) };
  try {
    const source =
      own === undefined
        ? await fileClient(sdk, gcp, document?.json ?? {}, transport)
        : tokenClient(sdk, own, transport);
    const token = serviceAccount === undefined ? tokenOf(source) : impersonate(sdk, source, serviceAccount, transport);
    return await untilAborted(token, AbortSignal.timeout(REQUEST_TIMEOUT_MS));
  } catch (error) {
    throw authProblem(error, { host, origin: document?.origin, serviceAccount });
  }
}

async function fileClient(
  sdk: typeof Sdk,
  { projectId }: GcpConfig,
  credentials: object,
  transport: Transport,
): Promise<AuthClient> {
  const auth = new sdk.GoogleAuth({
    scopes: SCOPES,
    // Without one the library runs gcloud and queries the metadata server for it, but nothing here uses it.
    projectId,
    clientOptions: { transporterOptions: transport },
    credentials,
  });
  return auth.getClient();
}

function tokenClient(sdk: typeof Sdk, { token, expires }: AccessToken, transport: Transport): AuthClient {
  const client = new sdk.OAuth2Client({ transporterOptions: transport });
  client.setCredentials({ access_token: token, expiry_date: expires });
  // Also in its last minutes, when the library would request a new one.
  client.eagerRefreshThresholdMillis = 0;
  return client;
}

async function impersonate(
  sdk: typeof Sdk,
  source: AuthClient,
  serviceAccount: string,
  transport: Transport,
): Promise<AccessToken> {
  const client = new sdk.Impersonated({
    sourceClient: source,
    targetPrincipal: serviceAccount,
    targetScopes: SCOPES,
    transporterOptions: transport,
  });
  return tokenOf(client);
}

async function tokenOf(client: AuthClient): Promise<AccessToken> {
  const { token } = await client.getAccessToken();
  if (typeof token !== 'string' || token === '') throw new Error('the token service answered without a token');
  const { quotaProjectId, credentials } = client;
  return {
    token,
    expires: credentials.expiry_date ?? Date.now() + DEFAULT_LIFETIME_MS,
    ...(quotaProjectId !== undefined && { quotaProject: quotaProjectId }),
  };
}
