import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../errors.js';
import type { Credentials, Keychain, RequestContext } from '../types.js';
import type { RequestInfo } from './answers.js';
import { parseChallenges, type Challenge } from './challenge.js';
import { AcceptedCredentials } from './credential-attempts.js';
import type { SessionRequest } from './request.js';
import { furtherScopes, push, scopeTexts, type Scope } from './scopes.js';
import type { ChallengeOrigin } from './token-realm.js';
import { basicAuthorization, type HeldToken, type TokenSource } from './tokens.js';

/** Sends one request without redirects; `authorization` is the header's value. */
export type Hop = (
  url: URL,
  request: SessionRequest,
  authorization: string | undefined,
  context: RequestContext,
) => Promise<IncomingMessage>;

export interface LoginOptions {
  /** host[:port] in the keychain's form. */
  readonly host: string;
  /** Such as `https://r.example`. */
  readonly origin: URL;
  readonly keychain: Keychain;
  readonly tokens: TokenSource;
  readonly now: () => number;
  readonly hidesFromAnonymous: boolean;
  readonly hop: Hop;
  /** Describes a request to this origin for messages. */
  readonly asked: (method: string, url: URL) => RequestInfo;
  /** The trust limits for a challenge in this answer. */
  readonly challengeOrigin: (response: IncomingMessage, url: URL) => ChallengeOrigin;
}

/** The authentication of a request. */
export interface Authorization {
  /** The header's value; undefined for anonymous requests. */
  readonly value?: string;
  /** The token in it, if it came from a token server. */
  readonly token?: HeldToken;
  /** The scopes of the token; empty without a token. */
  readonly scopes: readonly string[];
  /** The challenge that it answers; undefined before there was one. */
  readonly challenge?: string;
}

/** New information in the WWW-Authenticate header of an answer. */
export interface LearnedChallenge {
  /** It requires another kind of login, or another token server, than was known. */
  readonly changed: boolean;
  /** Scopes in it that were not requested. */
  readonly scopes: readonly string[];
}

interface KnownChallenge {
  readonly challenges: readonly Challenge[];
  readonly origin: ChallengeOrigin;
}

/** Maximum entries of each memory of a login; the oldest are dropped first. */
const MAX_REMEMBERED = 1_000;

/**
 * The login at one origin: its challenges, the scopes that it needs in addition to the usual ones, and the credentials
 * that it has accepted. None of these are sent to another origin, except credentials to the challenge's token server.
 */
export class Login {
  readonly accepted = new AcceptedCredentials();
  /** The latest challenge, for repositories that have not been requested yet. */
  #latest: KnownChallenge | undefined;
  /** By repository: behind a proxy, each path may have its own registry and token server. */
  readonly #challenges = new Map<string, KnownChallenge>();
  /** By the usual scopes. */
  readonly #scopes = new Map<string, readonly string[]>();
  /** Repositories for which the token server has refused to allow pushes. */
  readonly #pullOnly = new Map<string, true>();

  /** Repositories that anyone may read without a token: some registries answer 401 for a tag that does not exist. */
  readonly #open = new Map<string, true>();

  constructor(readonly options: LoginOptions) {}

  /** Whether a challenge is known. */
  get challenged(): boolean {
    return this.#latest !== undefined;
  }

  /** Parses the challenge of the answer to a request with `sent`. */
  learn(
    response: IncomingMessage,
    url: URL,
    scopes: readonly Scope[],
    sent: Authorization | undefined,
  ): LearnedChallenge {
    const challenges = parseChallenges(response.headers['www-authenticate'] ?? '').filter(({ scheme }) =>
      USABLE.has(scheme),
    );
    if (challenges.length === 0) return NOTHING;
    const repository = repositoryOfScopes(scopes);
    this.#latest = { challenges, origin: this.options.challengeOrigin(response, url) };
    remember(this.#challenges, repository, this.#latest);
    const asked = sent?.scopes ?? [];
    const further = asked.length === 0 ? [] : furtherScopes(scopeOf(challenges), asked);
    const changed = sent?.challenge !== undefined && sent.challenge !== identity(this.#latest);
    return { changed, scopes: further };
  }

  /** From now on requests these scopes instead of the usual ones. */
  useScopes(scopes: readonly Scope[], wanted: readonly string[]): void {
    remember(this.#scopes, scopeTexts(scopes).join(' '), wanted);
  }

  /** Rejects with a RegistryError if this credential is not accepted here. */
  async authorize(
    scopes: readonly Scope[],
    credentials: Credentials | undefined,
    context: RequestContext,
  ): Promise<Authorization> {
    const known = this.#challengeFor(repositoryOfScopes(scopes));
    if (known === undefined) return { scopes: [] };
    const challenge = identity(known);
    if (credentials !== undefined && 'registryToken' in credentials) {
      return { value: `Bearer ${credentials.registryToken}`, scopes: [], challenge };
    }
    const basic = basicOf(known, credentials);
    const withoutToken = { ...(basic !== undefined && { value: basic }), scopes: [], challenge };
    const bearer = bearerOf(known.challenges);
    if (bearer === undefined) return withoutToken;
    try {
      return { ...(await this.#tokenFor(known, bearer, scopes, credentials, context)), challenge };
    } catch (error) {
      if (!(error instanceof RegistryError) || !LOGIN_FAILURES.has(error.kind)) throw error;
      const isOpen = credentials === undefined && this.#open.has(repositoryOfScopes(scopes));
      // If both are offered, the token server is one of two ways.
      if (basic === undefined && !isOpen) throw error;
      return withoutToken;
    }
  }

  /** A read without a login has succeeded. */
  noteOpen(scopes: readonly Scope[]): void {
    remember(this.#open, repositoryOfScopes(scopes), true);
  }

  dropToken({ token }: Authorization): void {
    if (token !== undefined) this.options.tokens.drop(token);
  }

  async #tokenFor(
    { origin }: KnownChallenge,
    bearer: Challenge,
    scopes: readonly Scope[],
    credentials: Credentials | undefined,
    { signal, willPush }: RequestContext,
  ): Promise<Authorization> {
    const usual = scopeTexts(scopes);
    const repository = repositoryOfScopes(scopes);
    const isPull = scopes.length === 1 && scopes[0]?.actions === 'pull' && !this.#scopes.has(usual.join(' '));
    if (willPush === true && isPull && !this.#pullOnly.has(repository)) {
      try {
        const both = scopeTexts(push(repository));
        const token = await this.options.tokens.get(bearer, origin, both, credentials, signal);
        return { value: `Bearer ${token.value}`, token, scopes: both };
      } catch (error) {
        if (!(error instanceof RegistryError) || !LOGIN_FAILURES.has(error.kind)) throw error;
        remember(this.#pullOnly, repository, true);
      }
    }
    const wanted = usual.length === 0 ? furtherScopes(scopeOf([bearer]), []) : usual;
    const asked = this.#scopes.get(usual.join(' ')) ?? wanted;
    const token = await this.options.tokens.get(bearer, origin, asked, credentials, signal);
    return { value: `Bearer ${token.value}`, token, scopes: asked };
  }

  #challengeFor(repository: string): KnownChallenge | undefined {
    return this.#challenges.get(repository) ?? this.#latest;
  }
}

const USABLE: ReadonlySet<string> = new Set(['bearer', 'basic']);
const LOGIN_FAILURES: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'refused', 'invalid']);
const NOTHING: LearnedChallenge = { changed: false, scopes: [] };

function basicOf({ challenges }: KnownChallenge, credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined || !('username' in credentials)) return undefined;
  return challenges.some(({ scheme }) => scheme === 'basic') ? basicAuthorization(credentials) : undefined;
}

function scopeOf(challenges: readonly Challenge[]): string | undefined {
  return bearerOf(challenges)?.parameters.get('scope');
}

/** The first one with a token server: some registries put the error of the last token before it. */
function bearerOf(challenges: readonly Challenge[]): Challenge | undefined {
  const all = challenges.filter(({ scheme }) => scheme === 'bearer');
  return all.find(({ parameters }) => parameters.has('realm')) ?? all[0];
}

function repositoryOfScopes(scopes: readonly Scope[]): string {
  return scopes[0]?.repository ?? '';
}

/** Equal for challenges that require the same login. */
function identity({ challenges }: KnownChallenge): string {
  return JSON.stringify(
    challenges.map(({ scheme, parameters }) =>
      scheme === 'bearer' ? [scheme, parameters.get('realm'), parameters.get('service')] : [scheme],
    ),
  );
}

function remember<T>(memory: Map<string, T>, key: string, value: T): void {
  memory.delete(key);
  memory.set(key, value);
  const [oldest] = memory.keys();
  if (memory.size > MAX_REMEMBERED && oldest !== undefined) memory.delete(oldest);
}
