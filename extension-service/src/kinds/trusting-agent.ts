import { Agent } from 'node:https';
import { HttpsProxyAgent } from 'hpagent';
import { addedCas, trustedCas } from '../registry/transport/added-cas.js';
import type { AddedCas } from '../registry/transport/added-cas.js';
import { proxyFromEnvironment } from '../registry/transport/proxy.js';
import type { ProxyChoice } from '../registry/transport/proxy.js';

/** How the environment says to connect. */
export interface CloudNetwork {
  readonly added: AddedCas;
  readonly proxy: ProxyChoice;
}

/** Reads the variables; connections to registries have reported those that cannot be used. */
export function cloudNetwork(env: Readonly<Record<string, string | undefined>>): CloudNetwork {
  return { added: addedCas(env, () => undefined), proxy: proxyFromEnvironment(env) };
}

/**
 * Agents for a cloud's library that also trust the certificates of SSL_CERT_FILE and SSL_CERT_DIR. Undefined without
 * these: the library's own agents do, with Node's list.
 */
export function trustingAgents({ added, proxy }: CloudNetwork): ((url: URL) => Agent) | undefined {
  const ca = trustedCas(added, undefined);
  if (ca === undefined) return undefined;
  return (url) => {
    const through = proxy(url);
    return through === undefined ? new Agent({ ca }) : new HttpsProxyAgent({ proxy: through.href, ca });
  };
}
