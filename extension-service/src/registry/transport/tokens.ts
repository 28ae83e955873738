import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { codeOf } from '../request-log.js';
import type { OnRegistryRequest } from '../request-log.js';
import { rememberSecret } from '../sent-secrets.js';
import type { Credentials } from '../types.js';
import { untilAborted } from './abort.js';
import { networkError, readBody, type RequestInfo } from './answers.js';
import { withoutClientCertificate } from './base-url.js';
import type { Challenge } from './challenge.js';
import type { Http } from './http.js';
import { discard } from './discard.js';
import { hostname } from './proxy.js';
import { MAX_REDIRECTS } from './redirects.js';
import { ownRedirect } from './token-redirect.js';
import { parseToken, tokenServerError, type Token } from './token-answer.js';
import { checkRealm, type ChallengeOrigin } from './token-realm.js';

/** A token, with the key for {@link TokenSource.drop}. */
export interface HeldToken {
  readonly value: string;
  readonly key: string;
}

interface CacheEntry {
  readonly flight: Promise<Token>;
  /** Set when the token has arrived. */
  token?: Token;
}

const TOKEN_BODY_LIMIT = 256 * 1024;
/** Maximum tokens to keep, for all registries together. */
const MAX_TOKENS = 1_000;

/**
 * Exchanges credentials for bearer tokens (distribution's token and oauth2 specs) and caches them while they are valid,
 * one exchange at a time for each (origin, realm, service, scopes, credential).
 */
export class TokenSource {
  readonly #http: Http;
  readonly #now: () => number;
  readonly #onRequest: OnRegistryRequest;
  readonly #cache = new Map<string, CacheEntry>();

  constructor(http: Http, now: () => number, onRequest: OnRegistryRequest = () => undefined) {
    this.#http = http;
    this.#now = now;
    this.#onRequest = onRequest;
  }

  /**
   * A token for `scopes`; `credentials` undefined requests an anonymous one. Throws a RegistryError: unauthorized or
   * forbidden if the credential is not accepted, refused if it must not be sent there.
   */
  async get(
    challenge: Challenge,
    origin: ChallengeOrigin,
    scopes: readonly string[],
    credentials: Credentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<HeldToken> {
    const realm = checkRealm(challenge, origin, credentials !== undefined);
    const service = challenge.parameters.get('service');
    const key = cacheKey(origin, realm, service, scopes, credentials);
    for (;;) {
      const known = this.#cache.get(key);
      if (known !== undefined) {
        // The other request's end may be later than this one's abort.
        const arrived = known.flight.catch(() => undefined);
        const token = await (signal === undefined ? arrived : untilAborted(arrived, signal));
        const current = this.#cache.get(key) === known;
        if (current && token !== undefined && token.expires > this.#now()) return { value: token.value, key };
        signal?.throwIfAborted();
        if (!current) continue;
      }
      const entry: CacheEntry = { flight: this.#exchange(realm, service, scopes, credentials, origin, signal) };
      this.#cache.set(key, entry);
      try {
        entry.token = await entry.flight;
        return { value: entry.token.value, key };
      } catch (error) {
        if (this.#cache.get(key) === entry) this.#cache.delete(key);
        throw error;
      } finally {
        this.#forgetOldest();
      }
    }
  }

  /** Drops a token that the registry rejected, unless a newer one has replaced it. */
  drop({ key, value }: HeldToken): void {
    if (this.#cache.get(key)?.token?.value === value) this.#cache.delete(key);
  }

  async #exchange(
    realm: URL,
    service: string | undefined,
    scopes: readonly string[],
    credentials: Credentials | undefined,
    origin: ChallengeOrigin,
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    const url = new URL(realm);
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'image-swapper' };
    let method = 'GET';
    let body: Buffer | undefined;
    if (credentials !== undefined && 'identityToken' in credentials) {
      method = 'POST';
      headers['content-type'] = FORM;
      const { identityToken } = credentials;
      rememberSecret(identityToken);
      body = grantForm({ grant_type: 'refresh_token', refresh_token: identityToken }, service, scopes);
    } else {
      if (service !== undefined) url.searchParams.set('service', service);
      for (const scope of scopes) url.searchParams.append('scope', scope);
      if (credentials !== undefined && 'username' in credentials)
        headers['authorization'] = basicAuthorization(credentials);
    }
    const asOf = this.#now();
    let asked: RequestInfo = { host: origin.host, answeredBy: origin.answeredBy, method, url };
    let response = await this.#send(asked, headers, body, origin, signal);
    for (let hops = 0; hops < MAX_REDIRECTS; hops += 1) {
      const next = ownRedirect(response, method, asked.url);
      if (next === undefined) break;
      discard(response);
      asked = { ...asked, url: next };
      response = await this.#send(asked, headers, body, origin, signal);
    }
    const hasNoGet = method === 'GET' && NO_GET.has(response.statusCode ?? 0);
    if (hasNoGet && credentials !== undefined && 'username' in credentials) {
      const { username, password } = credentials;
      rememberSecret(password);
      const url = new URL(realm);
      const posted = await this.#send(
        { ...asked, method: 'POST', url },
        { ...withoutLogin(headers), 'content-type': FORM },
        grantForm({ grant_type: 'password', username, password }, service, scopes),
        origin,
        signal,
      );
      // The answer to GET says more about a server that has neither.
      if (NO_GET.has(posted.statusCode ?? 0)) discard(posted);
      else {
        discard(response);
        asked = { ...asked, method: 'POST', url };
        response = posted;
      }
    }
    const { statusCode = 0 } = response;
    // Some answer 201 for a new token.
    if (statusCode !== 200 && statusCode !== 201) throw await tokenServerError(response, asked, this.#now());
    const answer = await readBody(response, TOKEN_BODY_LIMIT, asked, signal);
    return parseToken(answer, asked, asOf, response.headers.date);
  }

  async #send(
    asked: RequestInfo,
    headers: Readonly<Record<string, string>>,
    body: Buffer | undefined,
    origin: ChallengeOrigin,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const { method, url } = asked;
    const sameHost = hostname(url) === hostname(origin.url);
    try {
      // The registry's own CA is also trusted for a token server on the same host.
      const response = await this.#http.send({
        method,
        url,
        headers,
        policy: origin.redirectPolicy,
        tls: sameHost ? origin.tls : { ...withoutClientCertificate(origin.tls), verify: true },
        ...(body && { body }),
        ...(signal && { signal }),
      });
      this.#onRequest({ host: origin.host, action: 'token', code: codeOf(response.statusCode ?? 0) });
      return response;
    } catch (error) {
      if (signal?.aborted !== true) this.#onRequest({ host: origin.host, action: 'token', code: 'error' });
      throw networkError(error, asked, signal);
    }
  }

  #forgetOldest(): void {
    if (this.#cache.size < MAX_TOKENS) return;
    for (const key of [...this.#cache.keys()].slice(0, MAX_TOKENS / 2)) this.#cache.delete(key);
  }
}

const FORM = 'application/x-www-form-urlencoded';
/** How a server answers that only has the POST of the oauth2 spec, which containerd sends first. */
const NO_GET: ReadonlySet<number> = new Set([404, 405, 501]);

/** The body of a POST by distribution's oauth2 spec. */
function grantForm(
  grant: Readonly<Record<string, string>>,
  service: string | undefined,
  scopes: readonly string[],
): Buffer {
  const form = new URLSearchParams({ client_id: 'image-swapper', ...grant });
  if (service !== undefined) form.set('service', service);
  form.set('scope', scopes.join(' '));
  return Buffer.from(form.toString());
}

function withoutLogin(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'));
}

/** With the registry's origin: a token for one registry's login is not sent to another one. */
function cacheKey(
  origin: ChallengeOrigin,
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: Credentials | undefined,
): string {
  const secret = createHash('sha256')
    .update(JSON.stringify(credentials ?? null))
    .digest('base64');
  return JSON.stringify([origin.url.origin, realm.href, service, [...scopes].sort(), secret]);
}

export function basicAuthorization(credentials: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}
