import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../errors.js';
import type { Credentials, RequestContext } from '../types.js';
import { untilAborted } from './abort.js';
import { statusError } from './answers.js';
import { discard } from './discard.js';
import type { CredentialAttempts } from './credential-attempts.js';
import { nextLoginStep, type LoginAction, type LoginOutcome, type LoginState } from './login-steps.js';
import type { Authorization, LearnedChallenge, Login, LoginOptions } from './login.js';
import type { SessionRequest } from './request.js';
import { scopeTexts } from './scopes.js';

/** Failures after which the next credential is tried. */
const CREDENTIAL_FAILURES: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'refused']);

/**
 * Sends one request with credentials that the registry accepts; follows no redirects. The caller handles error
 * statuses. Rejects with a RegistryError if no login succeeds, or with the abort's reason.
 */
export function sendWithLogin(
  login: Login,
  url: URL,
  request: SessionRequest,
  context: RequestContext,
): Promise<IncomingMessage> {
  return new LoginRun(login, url, request, context).run();
}

/** One request on its way through the login steps. */
class LoginRun {
  readonly #options: LoginOptions;
  readonly #key: string;
  readonly #repository: string;
  #state: LoginState;
  #tries: CredentialAttempts | undefined;
  #authorization: Authorization | undefined;
  #learned: LearnedChallenge | undefined;
  /** The current answer; its body is unread. */
  #response: IncomingMessage | undefined;
  /** The first credential's rejection is more informative than later ones, and than the anonymous attempt's. */
  #failure: Error | undefined;

  constructor(
    private readonly login: Login,
    private readonly url: URL,
    private readonly request: SessionRequest,
    private readonly context: RequestContext,
  ) {
    this.#options = login.options;
    this.#key = scopeTexts(request.scopes).join(' ');
    this.#repository = request.scopes[0]?.repository ?? '';
    this.#state = {
      piped: typeof request.body === 'function',
      mayBeHidden: login.options.hidesFromAnonymous && request.mayBeHidden === true && !login.accepted.has(this.#key),
      challenged: false,
      tokenRenewed: false,
      scopesTaken: false,
      changeFollowed: false,
      askedForChallenge: false,
      loginRenewed: false,
      status: undefined,
    };
  }

  async run(): Promise<IncomingMessage> {
    let outcome: LoginOutcome = { type: 'begun', challenged: this.login.challenged };
    for (;;) {
      const step = nextLoginStep(this.#state, outcome);
      this.#state = step.state;
      const next = await this.#act(step.action);
      if (!('type' in next)) return next;
      outcome = next;
    }
  }

  /** The next outcome, or the answer for the caller. */
  async #act(action: LoginAction): Promise<LoginOutcome | IncomingMessage> {
    switch (action) {
      case 'authorize':
        return this.#authorize();
      case 'renew-token':
        this.#dropToken();
        return this.#authorize();
      case 'take-scopes':
        this.#takeScopes();
        return this.#authorize();
      case 'renew-login':
        return this.#renewLogin();
      case 'ask-for-challenge':
        return this.#askForChallenge();
      case 'next-credential':
        return this.#nextCredential();
      case 'next-that-may-see':
        return outcomeOf(this.#tries?.nextWithCredentials() === true);
      case 'send':
        return this.#send();
      case 'return':
        return this.#return();
      case 'fail':
        throw await this.#explained(this.#failure ?? (await this.#rejection()));
      case 'fail-upload':
        throw await this.#rejectedUpload();
    }
  }

  async #authorize(): Promise<LoginOutcome> {
    this.#discard();
    this.#tries ??= await this.#allTries();
    const { credentials } = this.#tries;
    try {
      this.#authorization = await this.login.authorize(this.request.scopes, credentials, this.context);
      return { type: 'authorized' };
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      const credential = CREDENTIAL_FAILURES.has(error.kind);
      // The anonymous attempt comes last, and its failure is less informative than an earlier credential's.
      if (credential || credentials === undefined) this.#failure ??= error;
      else this.#failure = error;
      return { type: 'no-authorization', credential };
    }
  }

  async #send(): Promise<LoginOutcome> {
    const sent = this.#authorization;
    if (this.#tries?.credentials !== undefined && sent?.value !== undefined) this.context.onCredentials?.();
    const response = await this.#options.hop(this.url, this.request, sent?.value, this.context);
    this.#response = response;
    const status = response.statusCode ?? 0;
    const challenge = hasNewChallenge(response) ? this.#learn(response, this.url) : undefined;
    this.#learned = challenge;
    return {
      type: 'answered',
      status,
      challenged: this.login.challenged,
      bearer: sent?.value?.startsWith('Bearer ') === true,
      read: this.request.method === 'GET' || this.request.method === 'HEAD',
      changed: challenge?.changed === true,
      furtherScopes: challenge !== undefined && challenge.scopes.length > 0,
    };
  }

  /** A cloud's login that expired early: fetches the same credentials again. */
  async #renewLogin(): Promise<LoginOutcome> {
    if (!this.#isRenewed()) return { type: 'login-kept' };
    this.#tries = (await this.#allTries()).at(this.#tries);
    return { type: 'login-renewed' };
  }

  async #nextCredential(): Promise<LoginOutcome> {
    if (this.#response !== undefined) {
      const rejection = await this.#rejection();
      this.#failure ??= rejection;
    }
    return outcomeOf(this.#tries?.next() === true);
  }

  /** Whether there are credentials, and the registry would accept a login. */
  async #askForChallenge(): Promise<LoginOutcome> {
    const { login, url } = this;
    // After a rejection the anonymous token may be tried last; a hidden image is also hidden from anonymous callers.
    if (this.#state.status !== 401 && (await this.#credentials()).length === 0) return { type: 'no-challenge' };
    if (this.#response !== undefined) this.#learn(this.#response, url);
    // Some registries reject HEAD without a challenge, and GET with one.
    const isHead = this.request.method === 'HEAD' && this.#state.status === 401;
    if (!login.challenged && isHead && url.pathname.includes('/manifests/')) await this.#probe(url, this.request);
    if (!login.challenged) {
      const root = new URL('/v2/', this.#options.origin);
      await this.#probe(root, { method: 'GET', target: '/v2/', scopes: this.request.scopes, accept: [] });
    }
    return { type: login.challenged ? 'challenge-known' : 'no-challenge' };
  }

  async #probe(url: URL, request: SessionRequest): Promise<void> {
    const answer = await this.#options.hop(url, { ...request, method: 'GET' }, undefined, this.context);
    if (answer.statusCode === 401) this.#learn(answer, url);
    discard(answer);
  }

  #learn(response: IncomingMessage, url: URL): LearnedChallenge {
    return this.login.learn(response, url, this.request.scopes, this.#authorization);
  }

  #dropToken(): void {
    if (this.#authorization !== undefined) this.login.dropToken(this.#authorization);
  }

  #takeScopes(): void {
    const scopes = this.#learned?.scopes ?? [];
    if (scopes.length > 0) this.login.useScopes(this.request.scopes, scopes);
  }

  #return(): IncomingMessage {
    const response = this.#response;
    if (response === undefined) throw new Error('no answer to return');
    if ((response.statusCode ?? 0) < 400 && this.#tries !== undefined) {
      this.login.accepted.accept(this.#key, this.#tries);
    }
    const isRead = this.request.method === 'GET' || this.request.method === 'HEAD';
    const { statusCode = 0 } = response;
    if (isRead && statusCode < 300 && this.#authorization?.value === undefined)
      this.login.noteOpen(this.request.scopes);
    return response;
  }

  /** The current answer as an error; reads its body. */
  async #rejection(): Promise<RegistryError> {
    const response = this.#response;
    if (response === undefined) throw new Error('no answer to reject');
    this.#response = undefined;
    const asked = this.#options.asked(this.request.method, this.url);
    return statusError(response, asked, this.#options.now());
  }

  /** With the reason why a configured login was not tried. */
  async #explained(error: Error): Promise<Error> {
    if (!(error instanceof RegistryError) || !CREDENTIAL_FAILURES.has(error.kind)) return error;
    const advice = await this.#options.keychain
      .unusedReason?.(this.#options.host, this.#repository)
      .catch(() => undefined);
    return advice === undefined ? error : error.as({ kind: error.kind, retryable: error.retryable, advice });
  }

  /** A streamed body cannot be sent again from here; the caller that opened the source can do that. */
  async #rejectedUpload(): Promise<RegistryError> {
    this.#dropToken();
    this.#takeScopes();
    this.#isRenewed();
    const { message, kind, host, status = 401, diagnostics } = await this.#rejection();
    return new RegistryError(message, { kind, host, status, diagnostics, retryable: true });
  }

  #isRenewed(): boolean {
    const credentials = this.#tries?.credentials;
    return credentials !== undefined && this.#options.keychain.rejected?.(credentials) === true;
  }

  async #allTries(): Promise<CredentialAttempts> {
    return this.login.accepted.tries(this.#key, await this.#credentials());
  }

  /** All credentials to try. A cloud's API that does not answer never delays a request beyond its abort. */
  async #credentials(): Promise<readonly Credentials[]> {
    const { signal } = this.context;
    const resolved = this.#options.keychain.resolve(this.#options.host, this.#repository);
    return signal === undefined ? resolved : untilAborted(resolved, signal);
  }

  #discard(): void {
    if (this.#response !== undefined) discard(this.#response);
    this.#response = undefined;
  }
}

/** A rejection contains the requirement: 401, and 403 for a scope that the token lacks (RFC 6750, section 3.1). */
function hasNewChallenge({ statusCode, headers }: IncomingMessage): boolean {
  if (statusCode === 401) return true;
  return statusCode === 403 && /\berror="?insufficient_scope/.test(headers['www-authenticate'] ?? '');
}

function outcomeOf(found: boolean): LoginOutcome {
  return { type: found ? 'another-credential' : 'no-more-credentials' };
}
