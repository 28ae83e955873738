import type { GcpConfig } from '../../core/config/model.js';
import { untilAborted } from '../../registry/transport/abort.js';
import { readCredentialsFile } from './credentials-file.js';
import { authProblem } from './problems.js';
import type * as Sdk from './sdk.js';

export interface AccessToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** The project that API calls of a user are counted for; sent as x-goog-user-project. */
  readonly quotaProject?: string;
}

/** What Artifact Registry's roles are checked against; narrower scopes do not let anything be pushed. */
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
/** Milliseconds for one token, with the libraries' own tries, a federation and an impersonation. */
const PATIENCE = 30_000;
/** Milliseconds for one answer, of a metadata server too: it is slow when a Pod has just started. */
const ANSWER = 10_000;
/** When a token service does not say when its token ends. */
const SHORTEST_LIFE = 300_000;

/**
 * An access token by Application Default Credentials in all their forms (a credentials file of any type, else the
 * metadata server: Workload Identity on GKE, the node's account elsewhere), or of the service account that is
 * impersonated by them. Everything is read and asked anew: the caller keeps the token, files and roles change, and the
 * libraries remember for ever that a metadata server did not answer, as it does in a Pod's first seconds.
 *
 * @throws RegistryError that says what is missing
 */
export async function accessToken(
  gcp: GcpConfig,
  host: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<AccessToken> {
  const document = await readCredentialsFile(gcp, host, env);
  const sdk = await import('./sdk.js');
  prepareMetadata(sdk, env);
  try {
    return await untilAborted(obtain(sdk, gcp, document?.json), AbortSignal.timeout(PATIENCE));
  } catch (error) {
    throw authProblem(error, { host, origin: document?.origin, serviceAccount: gcp.serviceAccount });
  }
}

async function obtain(sdk: typeof Sdk, gcp: GcpConfig, credentials: object | undefined): Promise<AccessToken> {
  const auth = new sdk.GoogleAuth({
    scopes: SCOPES,
    // Without one the library runs gcloud and asks the metadata server for it; nothing here uses it.
    projectId: gcp.projectId,
    clientOptions: { transporterOptions: { timeout: ANSWER } },
    ...(credentials !== undefined && { credentials }),
  });
  const source = await auth.getClient();
  const client =
    gcp.serviceAccount === undefined
      ? source
      : new sdk.Impersonated({
          sourceClient: source,
          targetPrincipal: gcp.serviceAccount,
          targetScopes: SCOPES,
          transporterOptions: { timeout: ANSWER },
        });
  const { token } = await client.getAccessToken();
  if (typeof token !== 'string' || token === '') throw new Error('the token service answered without a token');
  const { quotaProjectId } = source;
  return {
    token,
    expires: client.credentials.expiry_date ?? Date.now() + SHORTEST_LIFE,
    ...(quotaProjectId !== undefined && { quotaProject: quotaProjectId }),
  };
}

/**
 * The metadata server is this machine's: the library would ask it through HTTPS_PROXY, and on Google's machines wait for
 * its answer without end. Only the library for the metadata server uses this instance of the HTTP client.
 */
function prepareMetadata({ gaxios, gcpMetadata }: typeof Sdk, env: Readonly<Record<string, string | undefined>>): void {
  const own = env['GCE_METADATA_IP'] || env['GCE_METADATA_HOST'] || '';
  const hosts = ['169.254.169.254', 'metadata.google.internal', 'metadata.google.internal.'];
  gaxios.instance.defaults = {
    noProxy: own === '' ? hosts : [...hosts, new URL(own.includes('://') ? own : `http://${own}`).hostname],
    adapter: async (options, send) => {
      const limit = AbortSignal.timeout(ANSWER);
      const { signal } = options;
      return send({ ...options, signal: signal == null ? limit : AbortSignal.any([signal, limit]) });
    },
  };
  gcpMetadata.resetIsAvailableCache();
}
