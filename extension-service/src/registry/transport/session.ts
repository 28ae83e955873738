import type { IncomingMessage } from 'node:http';
import { parseUrl } from '../../util/parse-url.js';
import { RegistryError } from '../errors.js';
import { actionOf, codeOf, isCountedPull, remainingOf } from '../request-log.js';
import type { OnRegistryRequest } from '../request-log.js';
import type { Keychain, RegistryEndpoint, RequestContext } from '../types.js';
import { invalid, networkError, statusError, type RequestInfo } from './answers.js';
import { BaseUrl } from './base-url.js';
import { discard } from './discard.js';
import type { AddressPolicy, HostGuard, Peer } from './host-guard.js';
import type { Http } from './http.js';
import { sendWithLogin } from './login-run.js';
import { Login } from './login.js';
import { registryAt, type OriginRegistry } from './origin-registry.js';
import type { PaceGates } from './pace-gate.js';
import { isRedirect, redirectTarget } from './redirects.js';
import type { SessionAnswer, SessionRequest } from './request.js';
import { scopesAt } from './scopes.js';
import type { TokenSource } from './tokens.js';

export { pull, push, remove, type Scope } from './scopes.js';
export type { SessionAnswer, SessionRequest } from './request.js';

export interface SessionOptions {
  readonly endpoint: RegistryEndpoint;
  readonly keychain: Keychain;
  /** For the registries that this one redirects to. */
  readonly elsewhere: Keychain;
  /** The configuration of host[:port]. */
  readonly endpointOf: (host: string) => RegistryEndpoint | undefined;
  readonly http: Http;
  readonly guard: HostGuard;
  readonly tokens: TokenSource;
  readonly paces: PaceGates;
  readonly now: () => number;
  /** As in the factory's options. */
  readonly hidesFromAnonymous: boolean;
  readonly onRequest?: OnRegistryRequest;
}

/**
 * Whether a request is one of the distribution API. A storage under the registry's own name accepts either a signed URL
 * or a login: a read gets none unless it asks for one, as docker does it. Locations of uploads may have any path.
 */
function isApi({ pathname }: URL, { method }: SessionRequest): boolean {
  return pathname.includes('/v2/') || (method !== 'GET' && method !== 'HEAD');
}

/**
 * An upload that the registry sends to another port of its own name, where nothing answers: proxies drop the port, and
 * registries do not know the one in front of them.
 */
function isLostUpload(
  { method }: SessionRequest,
  url: URL,
  { isOwn }: OriginRegistry,
  failure: Error,
): failure is RegistryError {
  const isUpload = (method === 'PUT' || method === 'PATCH') && !url.pathname.includes('/manifests/');
  return isUpload && !isOwn && failure instanceof RegistryError && failure.kind === 'unreachable';
}

const LOST_UPLOAD = {
  kind: 'unreachable',
  advice:
    'the registry sends uploads there, so its external URL may be wrong: set it in the registry, or make the proxy in front of it pass on host and port',
} as const;

/** Maximum logins of one session. A registry may redirect to any number of hosts. */
const MAX_LOGINS = 100;

/**
 * Requests to one registry: determines its scheme, answers its challenges with the first credential that it accepts
 * (anonymous last), and follows redirects explicitly. Each origin has its own login: credentials and tokens of one are
 * never sent to another.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #base: BaseUrl;
  readonly #logins = new Map<string, Login>();
  /** The registry as it last answered, which determines where the Location of an upload may point. */
  #peer: Peer;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#base = new BaseUrl(options);
    this.#peer = { host: options.endpoint.host, address: 'public' };
  }

  get host(): string {
    return this.#options.endpoint.host;
  }

  /**
   * Resolves with an answer whose status is in `accept`; its body is unread, and `asked` contains the URL that
   * answered. Rejects with a RegistryError or the abort's reason.
   */
  async send(request: SessionRequest, context: RequestContext = {}): Promise<SessionAnswer> {
    const { signal } = context;
    const base = await this.#base.find(context).catch((error: unknown) => {
      this.#reportRequest(request);
      throw error;
    });
    let url = this.#resolve(base, request);
    let response = await this.#sendTo(url, base, request, context);
    for (let hops = 0; isRedirect(response, request); hops += 1) {
      const from = this.#registryAt(url, base);
      const policy = this.#options.guard.redirectPolicy(this.#peerOf(response, url));
      discard(response);
      url = redirectTarget(response, request, this.#asked(request.method, url, from), hops);
      response = await this.#sendTo(url, base, request, context, policy);
    }
    const asked = this.#asked(request.method, url, this.#registryAt(url, base));
    if (request.accept.includes(response.statusCode ?? 0)) return { response, asked };
    if (signal?.aborted === true) discard(response);
    throw await statusError(response, asked, this.#options.now());
  }

  #resolve(base: URL, request: SessionRequest): URL {
    const asked: RequestInfo = { host: this.host, method: request.method, url: base };
    const url = parseUrl(request.target, base);
    if (url === undefined) throw invalid(asked, 'the Location of the upload is not a URL');
    // Behind a proxy that ends TLS, registries refer to themselves with http: use https.
    if (url.protocol === 'http:' && base.protocol === 'https:' && url.hostname === base.hostname) {
      url.protocol = 'https:';
      url.port = base.port;
    }
    if (url.protocol !== base.protocol && url.protocol !== 'https:') {
      const place = `${url.protocol}//${url.host}`;
      const advice =
        'its external URL is wrong: set it in the registry, or make the proxy in front of it send X-Forwarded-Proto';
      const message = `sends an upload from ${base.protocol} to ${place}: ${advice}`;
      throw new RegistryError(message, { kind: 'refused', host: this.host });
    }
    return url;
  }

  /** Sends one request to any origin, with the login of that origin. */
  async #sendTo(
    url: URL,
    base: URL,
    request: SessionRequest,
    context: RequestContext,
    redirectPolicy?: AddressPolicy,
  ): Promise<IncomingMessage> {
    const { guard } = this.#options;
    const registry = this.#registryAt(url, base);
    const policy = redirectPolicy ?? (registry.isOwn ? guard.policyFor(this.host) : guard.redirectPolicy(this.#peer));
    const scopes = registry.isOwn ? request.scopes : scopesAt(url, request.scopes);
    return sendWithLogin(this.#loginAt(registry, policy, isApi(url, request)), url, { ...request, scopes }, context);
  }

  #registryAt(url: URL, base: URL): OriginRegistry {
    const { endpoint, endpointOf, keychain, elsewhere } = this.#options;
    return registryAt(url, base, { endpoint, keychain, elsewhere, endpointOf });
  }

  #loginAt(registry: OriginRegistry, policy: AddressPolicy, api: boolean): Login {
    const { guard, tokens, now, hidesFromAnonymous } = this.#options;
    const { host, origin, keychain, tls, verified, isOwn, tokenHosts } = registry;
    const key = `${origin.origin} ${api} ${policy.key}`;
    const known = this.#logins.get(key);
    if (known !== undefined) return known;
    const login = new Login({
      host,
      origin,
      keychain,
      tokens,
      now,
      hidesFromAnonymous,
      hop: (url, request, authorization, context) =>
        this.#sendOnce(url, request, authorization, context, { policy, registry }),
      asked: (method, url) => this.#asked(method, url, registry),
      challengeOrigin: (response, url) => ({
        host: this.host,
        answeredBy: isOwn ? undefined : host,
        url,
        verified,
        tls,
        redirectPolicy: guard.redirectPolicy(this.#peerOf(response, url)),
        isOtherRegistry: (other) => guard.isTrusted(other),
        tokenHosts,
      }),
    });
    this.#logins.set(key, login);
    // The first one is the registry's own.
    const [, oldest] = this.#logins.keys();
    if (this.#logins.size > MAX_LOGINS && oldest !== undefined) this.#logins.delete(oldest);
    return login;
  }

  async #sendOnce(
    url: URL,
    request: SessionRequest,
    authorization: string | undefined,
    context: RequestContext,
    { policy, registry }: { readonly policy: AddressPolicy; readonly registry: OriginRegistry },
  ): Promise<IncomingMessage> {
    const headers: Record<string, string> = { 'user-agent': 'image-swapper', ...request.headers };
    if (authorization !== undefined) headers['authorization'] = authorization;
    try {
      const action = actionOf(request.method, request.target);
      let sentAt = 0;
      const response = await this.#options.paces.run(registry.host, action, context.signal, () => {
        context.onRequest?.();
        sentAt = performance.now();
        return this.#options.http.send({
          method: request.method,
          url,
          headers,
          policy,
          tls: registry.tls,
          ...(request.body && { body: request.body }),
          ...(request.use && { use: request.use }),
          ...(context.signal && { signal: context.signal }),
        });
      });
      this.#reportRequest(request, response, performance.now() - sentAt);
      if (registry.isOwn) this.#peer = this.#peerOf(response, url);
      return response;
    } catch (error) {
      if (context.signal?.aborted !== true) this.#reportRequest(request);
      const failure = networkError(error, this.#asked(request.method, url, registry), context.signal);
      throw isLostUpload(request, url, registry, failure) ? failure.as(LOST_UPLOAD) : failure;
    }
  }

  #asked(method: string, url: URL, { host, isOwn }: OriginRegistry): RequestInfo {
    return { host: this.host, method, url, answeredBy: isOwn ? undefined : host };
  }

  /** Counts a request; without an answer as an error. */
  #reportRequest({ method, target }: SessionRequest, response?: IncomingMessage, milliseconds?: number): void {
    const { onRequest } = this.#options;
    if (onRequest === undefined) return;
    const remaining = response && remainingOf(response);
    const action = actionOf(method, target);
    onRequest({
      host: this.host,
      action,
      code: response === undefined ? 'error' : codeOf(response.statusCode ?? 0),
      ...(remaining !== undefined && { remaining }),
      ...(milliseconds !== undefined && { milliseconds }),
      ...(response !== undefined && isCountedPull(this.host, action, response) && { isPull: true }),
    });
  }

  /**
   * The peer that sends us elsewhere with this answer. Registries that it redirects to may do no more than it may
   * itself.
   */
  #peerOf(response: IncomingMessage, url: URL): Peer {
    return { host: this.host, address: this.#options.http.peerClass(response, url) };
  }
}
