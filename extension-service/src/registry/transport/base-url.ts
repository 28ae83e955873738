import { parseUrl } from '../../core/parse-url.js';
import type { RegistryEndpoint, RequestContext } from '../types.js';
import { isNotTls, networkError } from './answers.js';
import { discard } from './discard.js';
import { RegistryError } from '../errors.js';
import type { HostGuard } from './host-guard.js';
import type { Http } from './http.js';

/**
 * A registry's base URL, found once: HTTPS; for insecure endpoints HTTPS with any certificate, and plain HTTP where TLS
 * is not spoken or nobody listens on it. That is the order of containerd and skopeo.
 */
export class BaseUrl {
  readonly #options: { readonly endpoint: RegistryEndpoint; readonly http: Http; readonly guard: HostGuard };
  #found: { readonly url: Promise<URL>; readonly signal?: AbortSignal } | undefined;

  constructor(options: { readonly endpoint: RegistryEndpoint; readonly http: Http; readonly guard: HostGuard }) {
    this.#options = options;
  }

  /** Rejects with a RegistryError when there is no answer, or with the reason of the abort; the next call asks again. */
  async find(context: RequestContext): Promise<URL> {
    const { endpoint } = this.#options;
    const authority = endpoint.host === 'docker.io' ? 'registry-1.docker.io' : endpoint.host;
    // Hosts that an image reference may have and no URL: 256.256.256.256, 1.2.3.4.5, 0x.1.
    const secure = parseUrl(`https://${authority}`);
    if (secure === undefined) {
      throw new RegistryError('this is no address that can be connected to', { kind: 'refused', host: endpoint.host });
    }
    if (!endpoint.insecure) return secure;
    const { signal } = context;
    const found = (this.#found ??= { url: this.#probe(authority, context), ...(signal && { signal }) });
    try {
      return await found.url;
    } catch (error) {
      if (this.#found === found) this.#found = undefined;
      // Whoever began the search was aborted; we were not.
      if (found.signal?.aborted === true && signal?.aborted !== true) return this.find(context);
      throw error;
    }
  }

  async #probe(authority: string, context: RequestContext): Promise<URL> {
    const { endpoint, http, guard } = this.#options;
    const url = new URL('/v2/', `https://${authority}`);
    const { signal } = context;
    const request = { method: 'GET', url, headers: {}, policy: guard.policyFor(endpoint.host), tls: tlsOf(endpoint) };
    try {
      discard(await http.send({ ...request, ...(signal && { signal }) }));
      return new URL(`https://${authority}`);
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (signal?.aborted !== true && (isNotTls(error) || code === 'ECONNRESET' || code === 'ECONNREFUSED')) {
        return new URL(`http://${authority}`);
      }
      throw networkError(error, { host: endpoint.host, method: 'GET', url }, signal);
    }
  }
}

export function tlsOf({ insecure, ca }: RegistryEndpoint): { readonly verify: boolean; readonly ca?: string } {
  return { verify: !insecure, ...(ca !== undefined && { ca }) };
}
