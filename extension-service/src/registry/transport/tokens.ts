import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../errors.js';
import { codeOf } from '../request-log.js';
import type { OnRegistryRequest } from '../request-log.js';
import type { Credentials } from '../types.js';
import { invalid, networkError, readBody, statusError, type Asked } from './answers.js';
import type { Challenge } from './challenge.js';
import type { AddressPolicy } from './host-guard.js';
import type { Http } from './http.js';
import { hostname } from './proxy.js';

/** The connection that a challenge came over. */
export interface ChallengeOrigin {
  /** host[:port] of the registry, for messages. */
  readonly host: string;
  readonly url: URL;
  /** HTTPS with a certificate that was checked. */
  readonly verified: boolean;
  readonly tls: { readonly verify: boolean; readonly ca?: string };
  /** Where the registry may send us. */
  readonly onward: AddressPolicy;
  /** Whether a host is another registry that we have configuration for: it gets no credentials of this one. */
  readonly isOtherRegistry: (host: string) => boolean;
}

interface Token {
  readonly value: string;
  readonly expires: number;
}

const TOKEN_BODY_LIMIT = 256 * 1024;
/** The token spec's default for `expires_in`. */
const DEFAULT_LIFETIME = 60;

/**
 * Exchanges credentials for bearer tokens (distribution's token and oauth2 specs) and keeps them while they last, one
 * exchange at a time for each (realm, service, scopes, credential).
 */
export class TokenSource {
  readonly #http: Http;
  readonly #now: () => number;
  readonly #onRequest: OnRegistryRequest;
  readonly #cache = new Map<string, Promise<Token>>();

  constructor(http: Http, now: () => number, onRequest: OnRegistryRequest = () => undefined) {
    this.#http = http;
    this.#now = now;
    this.#onRequest = onRequest;
  }

  /**
   * A token for `scopes`; `credentials` undefined asks for an anonymous one. Throws a RegistryError: unauthorized or
   * forbidden when the credential is no good there, refused when it must not be sent there.
   */
  async get(
    challenge: Challenge,
    origin: ChallengeOrigin,
    scopes: readonly string[],
    credentials: Credentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const realm = checkRealm(challenge, origin, credentials !== undefined);
    const service = challenge.parameters.get('service');
    const key = cacheKey(realm, service, scopes, credentials);
    for (;;) {
      const known = this.#cache.get(key);
      if (known !== undefined) {
        const token = await known.catch(() => undefined);
        if (token !== undefined && token.expires > this.#now()) return token.value;
        signal?.throwIfAborted();
        if (this.#cache.get(key) !== known) continue;
      }
      const exchange = this.#exchange(realm, service, scopes, credentials, origin, signal);
      this.#cache.set(key, exchange);
      try {
        return (await exchange).value;
      } catch (error) {
        if (this.#cache.get(key) === exchange) this.#cache.delete(key);
        throw error;
      } finally {
        this.#forgetExpired();
      }
    }
  }

  /** Forgets a token that the registry did not take. */
  drop(challenge: Challenge, scopes: readonly string[], credentials: Credentials | undefined): void {
    const realm = challenge.parameters.get('realm') ?? '';
    if (!URL.canParse(realm)) return;
    this.#cache.delete(cacheKey(new URL(realm), challenge.parameters.get('service'), scopes, credentials));
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
      headers['content-type'] = 'application/x-www-form-urlencoded';
      const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'image-swapper' });
      form.set('refresh_token', credentials.identityToken);
      if (service !== undefined) form.set('service', service);
      form.set('scope', scopes.join(' '));
      body = Buffer.from(form.toString());
    } else {
      if (service !== undefined) url.searchParams.set('service', service);
      for (const scope of scopes) url.searchParams.append('scope', scope);
      if (credentials !== undefined && 'username' in credentials)
        headers['authorization'] = basicAuthorization(credentials);
    }
    const asked: Asked = { host: origin.host, method, url };
    const asOf = this.#now();
    let response: IncomingMessage;
    try {
      // The registry's own CA also vouches for a token server beside it.
      response = await this.#http.send({
        method,
        url,
        headers,
        policy: hostname(url) === hostname(origin.url) ? SAME_HOST : origin.onward,
        tls: hostname(url) === hostname(origin.url) ? origin.tls : { ...origin.tls, verify: true },
        ...(body && { body }),
        ...(signal && { signal }),
      });
      this.#onRequest({ host: origin.host, action: 'token', code: codeOf(response.statusCode ?? 0) });
    } catch (error) {
      if (signal?.aborted !== true) this.#onRequest({ host: origin.host, action: 'token', code: 'error' });
      throw networkError(error, asked, signal);
    }
    // Redirects included: a token server that moved is not one that the challenge named.
    if (response.statusCode !== 200) throw tokenError(await statusError(response, asked, this.#now()));
    return parseToken(await readBody(response, TOKEN_BODY_LIMIT, asked, signal), asked, asOf);
  }

  #forgetExpired(): void {
    if (this.#cache.size < 1_000) return;
    for (const key of [...this.#cache.keys()].slice(0, 500)) this.#cache.delete(key);
  }
}

/** The registry itself was judged when it was connected to. */
const SAME_HOST: AddressPolicy = { key: 'trusted', refusal: () => undefined };

/** Some token servers answer 400 to credentials they do not know. */
function tokenError(error: RegistryError): RegistryError {
  if (error.kind !== 'invalid' || error.status !== 400) return error;
  const { host, status, diagnostics } = error;
  return new RegistryError(error.message, { kind: 'unauthorized', host, status, diagnostics, cause: error });
}

/**
 * The realm is text from the registry: it must be a URL, HTTPS unless the registry itself is on plain HTTP, and it gets
 * credentials only if it is on the registry's host, or if a verified registry named it (Docker Hub and others have their
 * token server on another host) and it is no other registry of ours.
 */
function checkRealm(challenge: Challenge, origin: ChallengeOrigin, withCredentials: boolean): URL {
  const text = challenge.parameters.get('realm') ?? '';
  const asked: Asked = { host: origin.host, method: 'GET', url: origin.url };
  if (!URL.canParse(text)) throw invalid(asked, `the token realm "${text.slice(0, 200)}" is not a URL`);
  const realm = new URL(text);
  const refuse = (message: string): RegistryError => new RegistryError(message, { kind: 'refused', host: origin.host });
  const plain = realm.protocol === 'http:';
  if (!plain && realm.protocol !== 'https:') throw refuse(`the token realm ${realm.host} has scheme ${realm.protocol}`);
  if (plain && origin.url.protocol === 'https:') throw refuse(`the token realm ${realm.host} is on plain HTTP`);
  realm.username = '';
  realm.password = '';
  if (!withCredentials || hostname(realm) === hostname(origin.url)) return realm;
  if (plain || !origin.verified) {
    throw refuse(`the token realm is on another host, ${realm.host}, and the connection that says so is not verified`);
  }
  if (origin.isOtherRegistry(realm.host)) throw refuse(`the token realm ${realm.host} is another registry`);
  return realm;
}

function parseToken(body: Buffer, asked: Asked, asOf: number): Token {
  let json: { token?: unknown; access_token?: unknown; expires_in?: unknown } | null;
  try {
    json = JSON.parse(body.toString('utf8')) as typeof json;
  } catch (error) {
    // The parser's message may quote the body, which may hold a token.
    void error;
    throw invalid(asked, 'the token server answered something that is not JSON');
  }
  const value = [json?.token, json?.access_token].find((token) => typeof token === 'string' && token !== '');
  if (typeof value !== 'string' || /[\r\n]/.test(value))
    throw invalid(asked, 'the token server answered without a token');
  const seconds = typeof json?.expires_in === 'number' && json.expires_in > 0 ? json.expires_in : DEFAULT_LIFETIME;
  // Used no later than shortly before its end, so that it is still good when it arrives.
  return { value, expires: asOf + seconds * 1000 - Math.min(10_000, seconds * 200) };
}

function cacheKey(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: Credentials | undefined,
): string {
  const secret = createHash('sha256')
    .update(JSON.stringify(credentials ?? null))
    .digest('base64');
  return JSON.stringify([realm.href, service, [...scopes].sort(), secret]);
}

export function basicAuthorization(credentials: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}
