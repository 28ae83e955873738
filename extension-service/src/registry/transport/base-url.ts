import { parseUrl } from '../../util/parse-url.js';
import type { IncomingMessage } from 'node:http';
import type { RegistryEndpoint, RequestContext, TlsSettings } from '../types.js';
import { networkError } from './answers.js';
import { isNotTls } from './tls-alerts.js';
import { discard } from './discard.js';
import { RegistryError } from '../errors.js';
import type { HostGuard } from './host-guard.js';
import type { Http } from './http.js';
import { DEFAULT_RETRY_TOOLS } from './retry.js';

/**
 * A registry's base URL, determined once: HTTPS. For insecure endpoints: HTTPS with any certificate, and plain HTTP if
 * the server does not use TLS, the port is closed, or a TLS hello gets no answer. containerd and skopeo use the same
 * order.
 */
export class BaseUrl {
  readonly #options: { readonly endpoint: RegistryEndpoint; readonly http: Http; readonly guard: HostGuard };
  #found: { readonly url: Promise<URL>; readonly signal?: AbortSignal } | undefined;

  constructor(options: { readonly endpoint: RegistryEndpoint; readonly http: Http; readonly guard: HostGuard }) {
    this.#options = options;
  }

  /** Rejects with a RegistryError if there is no answer, or with the abort's reason; the next call tries again. */
  async find(context: RequestContext): Promise<URL> {
    const { endpoint } = this.#options;
    const authority = endpoint.host === 'docker.io' ? 'registry-1.docker.io' : endpoint.host;
    // Hosts that are valid in an image reference but not in a URL: 256.256.256.256, 1.2.3.4.5, 0x.1.
    const secure = parseUrl(`https://${authority}`);
    if (secure === undefined) {
      throw new RegistryError('the address cannot be connected to', { kind: 'refused', host: endpoint.host });
    }
    if (!endpoint.insecure) return secure;
    const { signal } = context;
    const found = (this.#found ??= { url: this.#probe(authority, context), ...(signal && { signal }) });
    try {
      return await found.url;
    } catch (error) {
      if (this.#found === found) this.#found = undefined;
      // The caller that started the search was aborted, but this one was not.
      if (found.signal?.aborted === true && signal?.aborted !== true) return this.find(context);
      throw error;
    }
  }

  async #probe(authority: string, context: RequestContext): Promise<URL> {
    const { endpoint, http } = this.#options;
    const plain = new URL(`http://${authority}`);
    const remembered = plainHosts(http);
    if ((remembered.get(authority) ?? 0) > Date.now()) return plain;
    const { signal } = context;
    const ended = new AbortController();
    const both = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
    const isPlain = this.#isPlainHttp(authority, both);
    const hello = new AbortController();
    const timer = setTimeout(() => hello.abort(new Error('no answer over TLS')), TLS_ALONE_MS);
    const secure = this.#overTls(authority, AbortSignal.any([both, hello.signal])).catch(async (error: unknown) => {
      if (!hello.signal.aborted || both.aborted) throw error;
      // A server that takes one connection at a time answers plain HTTP only now; a slow one gets another try.
      return (await isPlain) ? plain : this.#overTls(authority, both);
    });
    // Some servers of plain HTTP do not answer a TLS hello at all: they wait for the end of a line.
    const silent = isPlain.then((found) => (found ? undefined : secure));
    try {
      const url = (await Promise.race([secure, silent])) ?? plain;
      if (url === plain) remembered.set(authority, Date.now() + PLAIN_LIFETIME_MS);
      return url;
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (signal?.aborted !== true && (isNotTls(error) || code === 'ECONNRESET' || code === 'ECONNREFUSED')) {
        return plain;
      }
      const url = new URL('/v2/', `https://${authority}`);
      throw networkError(error, { host: endpoint.host, method: 'GET', url }, signal);
    } finally {
      clearTimeout(timer);
      ended.abort(new Error('answered'));
      secure.catch(() => undefined);
      silent.catch(() => undefined);
    }
  }

  async #overTls(authority: string, signal: AbortSignal): Promise<URL> {
    discard(await this.#ask(new URL('/v2/', `https://${authority}`), signal));
    return new URL(`https://${authority}`);
  }

  /** Whether the registry answers plain HTTP, tried only after TLS has had its time. Never rejects. */
  async #isPlainHttp(authority: string, signal: AbortSignal): Promise<boolean> {
    await DEFAULT_RETRY_TOOLS.sleep(TLS_HELLO_MS, signal);
    if (signal.aborted) return false;
    try {
      const response = await this.#ask(new URL('/v2/', `http://${authority}`), signal);
      discard(response);
      // HTTPS servers answer plain HTTP with 400, or redirect to https.
      const status = response.statusCode ?? 0;
      return status !== 400 && (status < 300 || status >= 400) && status < 500;
    } catch {
      return false;
    }
  }

  #ask(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
    const { endpoint, http, guard } = this.#options;
    const policy = guard.policyFor(endpoint.host);
    return http.send({ method: 'GET', url, headers: {}, policy, tls: tlsOf(endpoint), signal });
  }
}

/** How long a TLS hello may remain unanswered before plain HTTP is also tried, in milliseconds. */
const TLS_HELLO_MS = 1_000;
/** How long a TLS connection without an answer stays open, in milliseconds; closing it lets others proceed. */
const TLS_ALONE_MS = 4_000;
/** How long clients of the same process remember that a host uses plain HTTP, in milliseconds. */
const PLAIN_LIFETIME_MS = 600_000;

const plainByHttp = new WeakMap<Http, Map<string, number>>();

/** Until when a host counts as using plain HTTP without TLS, by host; milliseconds since the epoch. */
function plainHosts(http: Http): Map<string, number> {
  let hosts = plainByHttp.get(http);
  if (hosts === undefined) plainByHttp.set(http, (hosts = new Map<string, number>()));
  return hosts;
}

export function tlsOf({ insecure, ca, clientCertificate }: RegistryEndpoint): TlsSettings {
  return {
    verify: !insecure,
    ...(ca !== undefined && { ca }),
    ...(clientCertificate !== undefined && { clientCertificate }),
  };
}

/** For another party than the one that the certificate is for. */
export function withoutClientCertificate({ verify, ca }: TlsSettings): TlsSettings {
  return { verify, ...(ca !== undefined && { ca }) };
}
