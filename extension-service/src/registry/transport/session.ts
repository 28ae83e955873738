import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../errors.js';
import { actionOf, codeOf, remainingOf } from '../request-log.js';
import type { OnRegistryRequest } from '../request-log.js';
import type { Credentials, Keychain, RegistryEndpoint, RequestContext } from '../types.js';
import { untilAborted } from './abort.js';
import { discard, invalid, networkError, statusError, type Asked } from './answers.js';
import { parseChallenges, type Challenge } from './challenge.js';
import { BaseUrl, tlsOf } from './base-url.js';
import { classifyAddress, type AddressClass } from './addresses.js';
import type { HostGuard } from './host-guard.js';
import type { BodyWriter, Http } from './http.js';
import { basicAuthorization, type ChallengeOrigin, type TokenSource } from './tokens.js';

export interface SessionOptions {
  readonly endpoint: RegistryEndpoint;
  readonly keychain: Keychain;
  readonly http: Http;
  readonly guard: HostGuard;
  readonly tokens: TokenSource;
  readonly now: () => number;
  readonly onRequest?: OnRegistryRequest;
}

export interface SessionRequest {
  readonly method: string;
  /** Path with query on the registry, or a whole URL (an upload's Location). */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | BodyWriter;
  /** What the request is for; the first scope names the repository. */
  readonly scopes: readonly Scope[];
  /** Statuses that are answers and not errors. */
  readonly accept: readonly number[];
}

export interface Scope {
  readonly repository: string;
  readonly actions: 'pull' | 'pull,push';
}

export interface SessionAnswer {
  readonly response: IncomingMessage;
  readonly asked: Asked;
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
  #challenge: { readonly challenges: readonly Challenge[]; readonly origin: ChallengeOrigin } | undefined;
  /** Which credential works, by repository and actions. */
  readonly #chosen = new Map<string, number>();

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
    const response = await this.#authorized(url, base, request, context);
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

  /** One hop with the credentials that the registry takes. Errors of the status are the caller's. */
  async #authorized(url: URL, base: URL, request: SessionRequest, context: RequestContext): Promise<IncomingMessage> {
    if (url.origin !== base.origin) return this.#hop(url, request, undefined, context);
    const key = request.scopes.map((scope) => `${scope.repository}:${scope.actions}`).join(' ');
    const repository = request.scopes[0]?.repository ?? '';
    let choices: readonly (Credentials | undefined)[] | undefined;
    let index = this.#chosen.get(key) ?? 0;
    let fresh = false;
    let renewed = false;
    let failure: RegistryError | undefined;
    for (;;) {
      let authorization: string | undefined;
      let credentials: Credentials | undefined;
      const challenged = this.#challenge !== undefined;
      if (challenged) {
        choices ??= [...(await this.#credentials(repository, context)), undefined];
        if (index >= choices.length) index = 0;
        credentials = choices[index];
        try {
          authorization = await this.#authorization(request.scopes, credentials, context);
        } catch (error) {
          // The anonymous try comes last, and its failure says less than a credential's before it.
          if (!(error instanceof RegistryError)) throw error;
          if (!CREDENTIAL_FAILURES.has(error.kind))
            throw failure !== undefined && credentials === undefined ? failure : error;
          if (!renewed && this.#isRenewed(credentials)) {
            renewed = true;
            choices = undefined;
            continue;
          }
          // A credential's own refusal says more than those after it.
          failure ??= error;
          if (++index >= choices.length) throw failure;
          continue;
        }
      }
      const response = await this.#hop(url, request, authorization, context);
      const status = response.statusCode ?? 0;
      if (status === 401) {
        this.#learn(response, url, base);
        if (typeof request.body === 'function') {
          this.#dropToken(request.scopes, credentials);
          this.#isRenewed(credentials);
          throw await this.#rejectedUpload(response, { host: this.host, method: request.method, url });
        }
        if (!challenged && this.#challenge !== undefined) {
          discard(response);
          continue;
        }
        if (authorization?.startsWith('Bearer ') === true && !fresh) {
          // The token may have been revoked, or the registry wants another scope than before.
          fresh = true;
          this.#dropToken(request.scopes, credentials);
          discard(response);
          continue;
        }
      }
      if ((status === 401 || status === 403) && !renewed && this.#isRenewed(credentials)) {
        // A login of a cloud that has ended early: the same credentials, fetched anew.
        if (typeof request.body === 'function') {
          throw await this.#rejectedUpload(response, { host: this.host, method: request.method, url });
        }
        renewed = true;
        choices = undefined;
        discard(response);
        continue;
      }
      if ((status === 401 || status === 403) && choices !== undefined && index + 1 < choices.length) {
        const asked: Asked = { host: this.host, method: request.method, url };
        const rejection = await statusError(response, asked, this.#options.now());
        failure ??= rejection;
        index++;
        fresh = false;
        continue;
      }
      if ((status === 401 || status === 403) && failure !== undefined) {
        // The refusal of the anonymous try says less than a credential's before it.
        discard(response);
        throw failure;
      }
      if (status < 400 && choices !== undefined) this.#chosen.set(key, index);
      if (this.#chosen.size > 10_000) this.#chosen.clear();
      return response;
    }
  }

  /** What may be tried; a cloud's API that does not answer holds nobody up longer than the request lasts. */
  async #credentials(repository: string, { signal }: RequestContext): Promise<readonly Credentials[]> {
    const resolved = this.#options.keychain.resolve(this.host, repository);
    if (signal === undefined) return resolved;
    return untilAborted(resolved, signal);
  }

  #isRenewed(credentials: Credentials | undefined): boolean {
    return credentials !== undefined && this.#options.keychain.rejected?.(credentials) === true;
  }

  /** A body that was piped cannot be sent again from here; whoever opened the source can. */
  async #rejectedUpload(response: IncomingMessage, asked: Asked): Promise<RegistryError> {
    const { message, kind, host, diagnostics } = await statusError(response, asked, this.#options.now());
    return new RegistryError(message, { kind, host, status: response.statusCode ?? 401, diagnostics, retryable: true });
  }

  /** The Authorization header, or undefined when this credential is sent as none. */
  async #authorization(
    scopes: readonly Scope[],
    credentials: Credentials | undefined,
    context: RequestContext,
  ): Promise<string | undefined> {
    if (this.#challenge === undefined) return undefined;
    const { challenges, origin } = this.#challenge;
    if (credentials !== undefined && 'registryToken' in credentials) return `Bearer ${credentials.registryToken}`;
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) {
      const token = await this.#options.tokens.get(bearer, origin, scopeTexts(scopes), credentials, context.signal);
      return `Bearer ${token}`;
    }
    const basic = challenges.some((challenge) => challenge.scheme === 'basic');
    return basic && credentials !== undefined && 'username' in credentials
      ? basicAuthorization(credentials)
      : undefined;
  }

  #dropToken(scopes: readonly Scope[], credentials: Credentials | undefined): void {
    const bearer = this.#challenge?.challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) this.#options.tokens.drop(bearer, scopeTexts(scopes), credentials);
  }

  #learn(response: IncomingMessage, url: URL, base: URL): void {
    const { endpoint, guard } = this.#options;
    const usable = new Set(['bearer', 'basic']);
    const challenges = parseChallenges(response.headers['www-authenticate'] ?? '').filter(({ scheme }) =>
      usable.has(scheme),
    );
    if (challenges.length === 0) return;
    this.#challenge = {
      challenges,
      origin: {
        host: this.host,
        url,
        verified: base.protocol === 'https:' && !endpoint.insecure,
        tls: tlsOf(this.#options.endpoint),
        onward: guard.onwardPolicy(this.#cameFrom(response)),
        isOtherRegistry: (host) => guard.isTrusted(host),
      },
    };
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
      response =
        url.origin === base.origin
          ? await this.#authorized(url, base, request, context)
          : await this.#hop(url, request, undefined, context, onward);
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

/** What makes us try the next credential. */
const CREDENTIAL_FAILURES: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'refused']);

function scopeTexts(scopes: readonly Scope[]): string[] {
  return scopes.map(({ repository, actions }) => `repository:${repository}:${actions}`);
}

export function pull(repository: string): Scope[] {
  return [{ repository, actions: 'pull' }];
}

export function push(repository: string): Scope[] {
  return [{ repository, actions: 'pull,push' }];
}
