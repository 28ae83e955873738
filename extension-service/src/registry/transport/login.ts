import type { IncomingMessage } from 'node:http';
import type { Credentials, Keychain, RequestContext } from '../types.js';
import { parseChallenges, type Challenge } from './challenge.js';
import { AcceptedCredentials } from './credential-tries.js';
import type { SessionRequest } from './request.js';
import { scopeTexts, type Scope } from './scopes.js';
import { basicAuthorization, type ChallengeOrigin, type TokenSource } from './tokens.js';

/** One request without redirects; `authorization` is the header's value. */
export type Hop = (
  url: URL,
  request: SessionRequest,
  authorization: string | undefined,
  context: RequestContext,
) => Promise<IncomingMessage>;

export interface LoginOptions {
  /** host[:port] as the keychain knows it, and for messages. */
  readonly host: string;
  /** Of the registry, such as `https://r.example`. */
  readonly base: URL;
  readonly keychain: Keychain;
  readonly tokens: TokenSource;
  readonly now: () => number;
  readonly hidesFromStrangers: boolean;
  readonly hop: Hop;
  /** What a challenge in this answer may make us do. */
  readonly challengeOrigin: (response: IncomingMessage, url: URL) => ChallengeOrigin;
}

/**
 * The login at one origin: its challenge, and the credentials that it has taken. Credentials are tried best first,
 * anonymous access last.
 */
export class Login {
  readonly accepted = new AcceptedCredentials();
  #challenge: { readonly challenges: readonly Challenge[]; readonly origin: ChallengeOrigin } | undefined;

  constructor(readonly options: LoginOptions) {}

  get challenged(): boolean {
    return this.#challenge !== undefined;
  }

  learn(response: IncomingMessage, url: URL): void {
    const challenges = parseChallenges(response.headers['www-authenticate'] ?? '').filter(({ scheme }) =>
      USABLE.has(scheme),
    );
    if (challenges.length === 0) return;
    this.#challenge = { challenges, origin: this.options.challengeOrigin(response, url) };
  }

  /** The Authorization header, or undefined when this credential is sent as none. */
  async authorization(
    scopes: readonly Scope[],
    credentials: Credentials | undefined,
    context: RequestContext,
  ): Promise<string | undefined> {
    if (this.#challenge === undefined) return undefined;
    const { challenges, origin } = this.#challenge;
    if (credentials !== undefined && 'registryToken' in credentials) return `Bearer ${credentials.registryToken}`;
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) {
      const { tokens } = this.options;
      return `Bearer ${await tokens.get(bearer, origin, scopeTexts(scopes), credentials, context.signal)}`;
    }
    const basic = challenges.some((challenge) => challenge.scheme === 'basic');
    return basic && credentials !== undefined && 'username' in credentials
      ? basicAuthorization(credentials)
      : undefined;
  }

  dropToken(scopes: readonly Scope[], credentials: Credentials | undefined): void {
    const bearer = this.#challenge?.challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) this.options.tokens.drop(bearer, scopeTexts(scopes), credentials);
  }
}

const USABLE: ReadonlySet<string> = new Set(['bearer', 'basic']);
