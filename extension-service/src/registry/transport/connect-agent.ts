import type { AgentOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { HttpsProxyAgent } from 'hpagent';

type Connect = HttpsProxyAgent['createConnection'];

/** HTTPS through a proxy's CONNECT, whose target has brackets around an IPv6 address (RFC 9110, section 9.3.6). */
export class ConnectAgent extends HttpsProxyAgent {
  override createConnection(...[options, callback]: Parameters<Connect>): ReturnType<Connect> {
    const { host } = options as AgentOptions & { readonly host?: string };
    if (host === undefined || !isIPv6(host)) return super.createConnection(options, callback);
    const bracketed = {
      ...options,
      host: `[${host}]`,
      // The certificate contains only the address.
      checkServerIdentity: (_: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(host, certificate),
    };
    return super.createConnection(bracketed, callback);
  }
}
