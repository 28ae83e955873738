import { HttpsProxyAgent } from 'hpagent';
import type { GcpConfig } from './config.js';
import { cloudNetwork, trustingAgents } from '../trusting-agent.js';
import type { AccessToken } from './access-token.js';
import type { ArtifactRegistryClient } from './sdk.js';

const GOOGLE = 'artifactregistry.googleapis.com';

/**
 * Google's client for Artifact Registry's API, with the same tokens as registry requests. It uses gRPC, or REST through
 * a proxy, because many proxies do not support HTTP/2. Both would read the proxy variables by their own rules (gRPC
 * only in lower case, REST not at all), so this applies the rules of our registry requests. It opens no connection
 * before the first call.
 */
export async function openApiClient(
  { endpoint = GOOGLE, projectId }: GcpConfig,
  env: Readonly<Record<string, string | undefined>>,
  token: () => Promise<AccessToken>,
): Promise<ArtifactRegistryClient> {
  const sdk = await import('./sdk.js');
  const url = new URL(`https://${endpoint}`);
  const network = cloudNetwork(env);
  const proxy = network.proxy(url);
  const credentials = new sdk.OAuth2Client();
  credentials.refreshHandler = async () => {
    const { token: access_token, expires, quotaProject } = await token();
    if (quotaProject !== undefined) credentials.quotaProjectId = quotaProject;
    return { access_token, expiry_date: expires };
  };
  if (proxy !== undefined) {
    const own = new HttpsProxyAgent({ keepAlive: true, proxy: proxy.href });
    const agent = trustingAgents(network)?.(url) ?? own;
    // By now the client has set its own agent, which does not support proxies.
    credentials.transporter.interceptors.request.add({
      resolved: (request) => Promise.resolve(Object.assign(request, { agent })),
    });
  }
  return new sdk.ArtifactRegistryClient({
    auth: new sdk.GoogleAuth({ authClient: credentials, projectId }),
    apiEndpoint: url.hostname,
    port: Number(url.port || 443),
    fallback: proxy !== undefined,
    'grpc.enable_http_proxy': 0,
  });
}
