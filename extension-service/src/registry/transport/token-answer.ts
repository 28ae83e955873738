import type { IncomingMessage } from 'node:http';
import { parseBoundedJson } from '../../core/json-bounds.js';
import type { RegistryError } from '../errors.js';
import { invalid, statusError, type RequestInfo } from './answers.js';
import { parseDiagnostics } from './diagnostics.js';
import { classOf, type Refusal, type RefusalClass } from './status-class.js';

export interface Token {
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** Seconds: the token spec's default for `expires_in`. */
const DEFAULT_LIFETIME_S = 60;
/** Seconds; a token with a longer lifetime is still renewed after this. */
const MAX_LIFETIME_S = 24 * 60 * 60;

interface TokenBody {
  readonly token?: unknown;
  readonly access_token?: unknown;
  readonly expires_in?: unknown;
  readonly issued_at?: unknown;
}

/**
 * The answer of a token server (distribution's token and oauth2 specs): `token` or `access_token`, and its lifetime.
 * Throws a RegistryError of kind `invalid` if it does not contain a token.
 *
 * @param asOf time of the token request, by our clock, in milliseconds
 * @param date the answer's Date header: the token server's clock
 */
export function parseToken(body: Buffer, asked: RequestInfo, asOf: number, date: string | undefined): Token {
  let json: TokenBody | null;
  try {
    json = parseBoundedJson(body.toString('utf8'), body.length) as TokenBody | null;
  } catch {
    // The parser's message may quote the body, which may contain a token.
    throw invalid(asked, "the token server's response is not JSON");
  }
  const tokens = [json?.token, json?.access_token].flatMap((text) => (typeof text === 'string' ? [text.trim()] : []));
  const value = tokens.find((text) => text !== '');
  if (value === undefined) throw withoutToken(body, asked);
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw invalid(asked, 'the token server returned a token that is not printable ASCII');
  }
  const seconds = Math.max(1, lifetime(json?.expires_in) - age(json?.issued_at, date));
  // Not used shortly before its expiry, so that it is still valid when it arrives.
  return { value, expires: asOf + seconds * 1000 - Math.min(10_000, seconds * 200) };
}

/** Some servers answer 200 to a rejection, with the reason in the body. */
function withoutToken(body: Buffer, asked: RequestInfo): RegistryError {
  const diagnostics = parseDiagnostics(body.toString('utf8'));
  const text = diagnostics
    .map(({ code, message }) => [code, message].filter((part) => part !== '').join(': '))
    .join('; ');
  const error = invalid(asked, `the token server returned no token${text === '' ? '' : `: ${text}`}`);
  const { kind } = tokenClassOf({
    status: 403,
    method: asked.method,
    path: asked.url.pathname,
    diagnostics,
    words: '',
  });
  return text === '' ? error : error.as({ kind, retryable: kind === 'throttled' });
}

/** Seconds. Some servers send a number as text; 0 and less are not usable lifetimes. */
function lifetime(expiresIn: unknown): number {
  const seconds = typeof expiresIn === 'string' && expiresIn.trim() !== '' ? Number(expiresIn) : expiresIn;
  if (typeof seconds !== 'number' || Number.isNaN(seconds) || seconds <= 0) return DEFAULT_LIFETIME_S;
  return Math.min(seconds, MAX_LIFETIME_S);
}

/** Seconds since a token was issued: servers return cached tokens. Both times are by the server's clock. */
function age(issuedAt: unknown, date: string | undefined): number {
  const issued = typeof issuedAt === 'string' ? Date.parse(issuedAt) : NaN;
  const milliseconds = Date.parse(date ?? '') - issued;
  return milliseconds > 0 ? milliseconds / 1000 : 0;
}

/** The error for a token server's answer other than 200, with its own words; reads the body. */
export function tokenServerError(response: IncomingMessage, asked: RequestInfo, now: number): Promise<RegistryError> {
  return statusError(response, asked, now, tokenClassOf);
}

/**
 * A token server's status is about the login and never about an image: 400, 404 and similar mean unknown credentials or
 * repositories.
 */
function tokenClassOf(refusal: Refusal): RefusalClass {
  const { status } = refusal;
  const found = classOf(refusal);
  if (status < 400 || status >= 500 || status === 408) {
    return found.kind === 'conflict' || found.kind === 'policy' ? { kind: 'invalid' } : found;
  }
  // Some servers refuse the token for a new repository where the plan has no room for it (DigitalOcean).
  const asPush = classOf({ ...refusal, method: 'POST' });
  if (asPush.kind === 'quota') return asPush;
  if (found.kind === 'forbidden' || found.kind === 'throttled') return found;
  const advice = 'no credential was accepted; check the pull secrets or the credentials in the configuration';
  return { kind: 'unauthorized', advice, isGeneral: true };
}
