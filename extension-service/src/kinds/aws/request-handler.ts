import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import type { NodeHttpHandler } from '@smithy/node-http-handler';
import { HttpProxyAgent, HttpsProxyAgent } from 'hpagent';
import { addedCas, trustedCas } from '../../registry/transport/added-cas.js';
import { proxyFromEnvironment } from '../../registry/transport/proxy.js';
import type * as Sdk from './sdk.js';

type Handle = NodeHttpHandler['handle'];

/** Time limit in milliseconds for a connection, and for the answer to a sent request. */
const TIMEOUTS = { connectionTimeout: 3_000, requestTimeout: 8_000, throwOnRequestTimeout: true } as const;

/**
 * HTTP for the SDK, which ignores the environment's proxies, AWS_CA_BUNDLE and SSL_CERT_FILE: here all apply, as for
 * registries.
 *
 * @throws Error that names the variable if its proxy or file cannot be used
 */
export function awsRequestHandler(sdk: typeof Sdk, env: Readonly<Record<string, string | undefined>>): NodeHttpHandler {
  const choose = proxyFromEnvironment(env);
  // The connections to registries have reported variables that cannot be used.
  const ca = trustedCas(
    addedCas(env, () => undefined),
    awsCaBundle(env),
  );
  const trust = ca === undefined ? {} : { ca };
  const direct = new sdk.NodeHttpHandler({ ...TIMEOUTS, httpsAgent: new Agent({ keepAlive: true, ...trust }) });
  const proxied = new Map<string, NodeHttpHandler>();
  const handlerFor = (url: URL): NodeHttpHandler => {
    const proxy = choose(url)?.href;
    if (proxy === undefined) return direct;
    let handler = proxied.get(proxy);
    if (handler === undefined) {
      handler = new sdk.NodeHttpHandler({
        ...TIMEOUTS,
        httpAgent: new HttpProxyAgent({ keepAlive: true, proxy }),
        httpsAgent: new HttpsProxyAgent({ keepAlive: true, proxy, ...trust }),
      });
      proxied.set(proxy, handler);
    }
    return handler;
  };
  // The direct handler represents both, with the SDK's whole interface.
  const handle = direct.handle.bind(direct);
  direct.handle = ((request, options) => {
    const { protocol, hostname, port } = request;
    const handler = handlerFor(new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`));
    return handler === direct ? handle(request, options) : handler.handle(request, options);
  }) satisfies Handle;
  return direct;
}

/** PEM of AWS_CA_BUNDLE, as the AWS command line reads it. @throws Error with the variable and the file */
export function awsCaBundle(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const path = env['AWS_CA_BUNDLE'];
  if (path === undefined || path === '') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`AWS_CA_BUNDLE: ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      cause: error,
    });
  }
}
