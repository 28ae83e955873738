import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../errors.js';
import { actionOf, codeOf, remainingOf } from '../request-log.js';
import type { OnRegistryRequest } from '../request-log.js';
import type { Keychain, RegistryEndpoint, RequestContext } from '../types.js';
import { invalid, networkError, statusError, type Asked } from './answers.js';
import { classifyAddress, type AddressClass } from './addresses.js';
import { BaseUrl, tlsOf } from './base-url.js';
import { discard } from './discard.js';
import type { AddressPolicy, HostGuard } from './host-guard.js';
import type { Http } from './http.js';
import { sendWithLogin } from './login-run.js';
import { Login } from './login.js';
import type { SessionAnswer, SessionRequest } from './request.js';
import type { TokenSource } from './tokens.js';

export { pull, push, type Scope } from './scopes.js';
export type { SessionAnswer, SessionRequest } from './request.js';

export interface SessionOptions {
  readonly endpoint: RegistryEndpoint;
  readonly keychain: Keychain;
  readonly http: Http;
  readonly guard: HostGuard;
  readonly tokens: TokenSource;
  readonly now: () => number;
  /** As in the factory's options. */
  readonly hidesFromStrangers: boolean;
  readonly onRequest?: OnRegistryRequest;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * Requests to one registry: finds its scheme, answers its challenges with the first credential that it takes (anonymous
 * last), and follows redirects by hand. Authorization goes to the registry's own origin and nowhere else.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #base: BaseUrl;
  #login: Login | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#base = new BaseUrl(options);
  }

  get host(): string {
    return this.#options.endpoint.host;
  }

  /** Resolves with an answer whose status is in `accept`; its body is unread. Rejects with a RegistryError or the abort's reason. */
  async send(request: SessionRequest, context: RequestContext = {}): Promise<SessionAnswer> {
    const { signal } = context;
    const base = await this.#base.find(context).catch((error: unknown) => {
      this.#tell(request);
      throw error;
    });
    const url = this.#resolve(base, request);
    const asked: Asked = { host: this.host, method: request.method, url };
    const response = await this.#sendTo(url, base, request, context);
    const final = await this.#follow(response, url, base, request, context);
    if (request.accept.includes(final.statusCode ?? 0)) return { response: final, asked };
    if (signal?.aborted === true) discard(final);
    throw await statusError(final, asked, this.#options.now());
  }

  #resolve(base: URL, request: SessionRequest): URL {
    const asked: Asked = { host: this.host, method: request.method, url: base };
    if (!URL.canParse(request.target, base.href)) throw invalid(asked, 'the Location of the upload is not a URL');
    const url = new URL(request.target, base);
    // Behind a proxy that ends TLS, registries name themselves with http: stay on https.
    if (url.protocol === 'http:' && base.protocol === 'https:' && url.hostname === base.hostname) {
      url.protocol = 'https:';
      url.port = base.port;
    }
    if (url.protocol !== base.protocol && url.protocol !== 'https:') {
      throw new RegistryError(`sends us from ${base.protocol} to ${url.protocol}`, {
        kind: 'refused',
        host: this.host,
      });
    }
    return url;
  }

  /** The registry's own login; anything but its origin gets no credentials. */
  #loginAt(base: URL): Login {
    const { endpoint, guard, keychain, tokens, now, hidesFromStrangers } = this.#options;
    return (this.#login ??= new Login({
      host: this.host,
      base,
      keychain,
      tokens,
      now,
      hidesFromStrangers,
      hop: (...hop) => this.#hop(...hop),
      challengeOrigin: (response, url) => ({
        host: this.host,
        url,
        verified: base.protocol === 'https:' && !endpoint.insecure,
        tls: tlsOf(endpoint),
        onward: guard.onwardPolicy(this.#cameFrom(response)),
        isOtherRegistry: (host) => guard.isTrusted(host),
      }),
    }));
  }

  #sendTo(
    url: URL,
    base: URL,
    request: SessionRequest,
    context: RequestContext,
    policy?: AddressPolicy,
  ): Promise<IncomingMessage> {
    return url.origin === base.origin
      ? sendWithLogin(this.#loginAt(base), url, request, context)
      : this.#hop(url, request, undefined, context, policy);
  }

  async #follow(
    first: IncomingMessage,
    from: URL,
    base: URL,
    request: SessionRequest,
    context: RequestContext,
  ): Promise<IncomingMessage> {
    let response = first;
    let url = from;
    for (
      let hops = 0;
      REDIRECTS.has(response.statusCode ?? 0) && !request.accept.includes(response.statusCode ?? 0);
      hops++
    ) {
      const asked: Asked = { host: this.host, method: request.method, url };
      const { location } = response.headers;
      const onward = this.#options.guard.onwardPolicy(this.#cameFrom(response));
      discard(response);
      // A body that was piped cannot be sent twice, and 303 would turn it into a GET.
      if (request.method !== 'GET' && request.method !== 'HEAD') throw invalid(asked, `redirects a ${request.method}`);
      if (hops === MAX_REDIRECTS) throw invalid(asked, `redirects more than ${MAX_REDIRECTS} times`);
      if (location === undefined || !URL.canParse(location, url.href)) throw invalid(asked, 'redirects to no URL');
      const next = new URL(location, url);
      if (next.protocol !== 'https:' && (next.protocol !== 'http:' || url.protocol === 'https:')) {
        const message = `redirects from ${url.protocol} to ${next.protocol}//${next.host}`;
        throw new RegistryError(message, { kind: 'refused', host: this.host });
      }
      url = next;
      response = await this.#sendTo(url, base, request, context, onward);
    }
    return response;
  }

  async #hop(
    url: URL,
    request: SessionRequest,
    authorization: string | undefined,
    context: RequestContext,
    policy = this.#options.guard.policyFor(this.host),
  ): Promise<IncomingMessage> {
    context.onRequest?.();
    const headers: Record<string, string> = { 'user-agent': 'image-swapper', ...request.headers };
    if (authorization !== undefined) headers['authorization'] = authorization;
    try {
      const response = await this.#options.http.send({
        method: request.method,
        url,
        headers,
        policy,
        tls: tlsOf(this.#options.endpoint),
        ...(request.body && { body: request.body }),
        ...(context.signal && { signal: context.signal }),
      });
      this.#tell(request, response);
      return response;
    } catch (error) {
      if (context.signal?.aborted !== true) this.#tell(request);
      throw networkError(error, { host: this.host, method: request.method, url }, context.signal);
    }
  }

  /** Counts a request; without an answer as an error. */
  #tell({ method, target }: SessionRequest, response?: IncomingMessage): void {
    const { onRequest } = this.#options;
    if (onRequest === undefined) return;
    const remaining = response && remainingOf(response);
    onRequest({
      host: this.host,
      action: actionOf(method, target),
      code: response === undefined ? 'error' : codeOf(response.statusCode ?? 0),
      ...(remaining !== undefined && { remaining }),
    });
  }

  #cameFrom(response: IncomingMessage): {
    readonly trusted: boolean;
    readonly address: AddressClass;
  } {
    const { remoteAddress } = response.socket;
    const address = remoteAddress === undefined ? 'public' : classifyAddress(remoteAddress);
    return { trusted: this.#options.guard.isTrusted(this.host), address };
  }
}
