/**
 * The login of one request at a registry, as a table: events, and the next step for each. Pure; `login.ts` performs the
 * steps. Each row has a test in test/unit/registry/login-steps.test.ts.
 */

/** The state of one request. */
export interface LoginState {
  /** The body can be sent only once. */
  readonly piped: boolean;
  /** A 404 may hide an image that other credentials can see. */
  readonly mayBeHidden: boolean;
  /** The registry has sent a challenge: credentials are being tried. */
  readonly challenged: boolean;
  /** The current credential has already got a second token. */
  readonly tokenRenewed: boolean;
  /** The scopes in a challenge have already been requested. */
  readonly scopesTaken: boolean;
  /** A changed challenge has already been answered again. */
  readonly changeFollowed: boolean;
  /** The registry's challenge has already been requested. */
  readonly askedForChallenge: boolean;
  /** A login that expired early has already been replaced. */
  readonly loginRenewed: boolean;
  /** The status to handle; undefined if the current credential led to no request at all. */
  readonly status: number | undefined;
}

/** An answer of the registry. */
export interface LoginAnswer {
  readonly type: 'answered';
  readonly status: number;
  /** The challenge is now known. */
  readonly challenged: boolean;
  /** The request contained a token. */
  readonly bearer: boolean;
  /** The request changes nothing. */
  readonly read: boolean;
  /** The answer requires another login than the known one. */
  readonly changed: boolean;
  /** The answer names scopes that were not requested for the token. */
  readonly furtherScopes: boolean;
}

/** The result of the last step. */
export type LoginOutcome =
  /** `challenged`: an earlier request has received a challenge. */
  | { readonly type: 'begun'; readonly challenged: boolean }
  /** There is an Authorization header for the current credential, or it needs none. */
  | { readonly type: 'authorized' }
  /** There is no header. `credential`: because of the credential, so another one may help. */
  | { readonly type: 'no-authorization'; readonly credential: boolean }
  | LoginAnswer
  | { readonly type: 'login-renewed' }
  /** The keychain has no other login in place of the rejected one. */
  | { readonly type: 'login-kept' }
  /** After requesting a challenge. */
  | { readonly type: 'challenge-known' }
  | { readonly type: 'no-challenge' }
  | { readonly type: 'another-credential' }
  | { readonly type: 'no-more-credentials' };

export type LoginAction =
  /** Create an Authorization header with the current credential. */
  | 'authorize'
  /** Drop the rejected token, then authorize. */
  | 'renew-token'
  /** The same, with the scopes of the challenge. */
  | 'take-scopes'
  /** Report the rejection of the current credential to the keychain. */
  | 'renew-login'
  /** Find out whether the registry would accept a login. */
  | 'ask-for-challenge'
  | 'next-credential'
  /** The next credential, if any, that may see what the current one does not. */
  | 'next-that-may-see'
  | 'send'
  /** Return the answer to the caller, and remember the credential if it was accepted. */
  | 'return'
  /** Reject with the first failure. */
  | 'fail'
  /** Reject: only the caller can open the body again. */
  | 'fail-upload';

export interface LoginTransition {
  /** Unique name of the row. */
  readonly name: string;
  readonly on: LoginOutcome['type'];
  readonly when?: (state: LoginState, outcome: LoginOutcome) => boolean;
  readonly action: LoginAction;
  readonly set?: Partial<LoginState>;
}

const REFUSED: ReadonlySet<number> = new Set([401, 403]);

/** ECR Public answers 400, without a challenge, to a token that has expired. */
const mayRefuseToken = ({ status }: LoginState, outcome: LoginOutcome): boolean =>
  answer(outcome).bearer === true && (status === 401 || (status === 400 && answer(outcome).read === true));
/**
 * Whether a login may help against a refusal that does not ask for one. Some registries answer 403 to anonymous writes, or
 * 404, although anyone may read (nexspence/nexspence#260); others hide images.
 */
const mayNeedLogin = ({ mayBeHidden, piped, status }: LoginState, outcome: LoginOutcome): boolean =>
  !piped && (status === 403 || (status === 404 && (mayBeHidden || answer(outcome).read === false)));
const isRefused = ({ status }: LoginState): boolean => status !== undefined && REFUSED.has(status);
const learned = (outcome: LoginOutcome): boolean => 'challenged' in outcome && outcome.challenged;
const answer = (outcome: LoginOutcome): Partial<LoginAnswer> => (outcome.type === 'answered' ? outcome : {});

/** The first matching row counts. */
export const LOGIN_TRANSITIONS: readonly LoginTransition[] = [
  {
    name: 'answers a known challenge at once',
    on: 'begun',
    when: (_, outcome) => learned(outcome),
    action: 'authorize',
    set: { challenged: true },
  },
  { name: 'sends an unauthenticated request first', on: 'begun', action: 'send' },

  { name: 'sends with the current credential', on: 'authorized', action: 'send' },
  {
    name: 'fails when not the credential is at fault',
    on: 'no-authorization',
    when: (_, outcome) => outcome.type === 'no-authorization' && !outcome.credential,
    action: 'fail',
  },
  {
    name: 'renews a login that the token server refuses',
    on: 'no-authorization',
    when: ({ loginRenewed }) => !loginRenewed,
    action: 'renew-login',
  },
  { name: 'tries the next credential at the token server', on: 'no-authorization', action: 'next-credential' },

  {
    name: 'allows the caller to repeat a rejected upload',
    on: 'answered',
    when: ({ piped, status }, outcome) => piped && (status === 401 || answer(outcome).furtherScopes === true),
    action: 'fail-upload',
  },
  {
    name: 'answers a first challenge',
    on: 'answered',
    when: ({ challenged, status }, outcome) => status === 401 && !challenged && learned(outcome),
    action: 'authorize',
    set: { challenged: true },
  },
  {
    name: 'finds out how to log in where the refusal does not say it',
    on: 'answered',
    when: ({ askedForChallenge, status }, outcome) => status === 401 && !askedForChallenge && !learned(outcome),
    action: 'ask-for-challenge',
    set: { askedForChallenge: true },
  },
  {
    name: 'requests the scopes of the challenge',
    on: 'answered',
    when: (state, outcome) => isRefused(state) && !state.scopesTaken && answer(outcome).furtherScopes === true,
    action: 'take-scopes',
    set: { scopesTaken: true },
  },
  {
    name: 'answers a challenge that has changed',
    on: 'answered',
    when: ({ changeFollowed, status }, outcome) =>
      status === 401 && !changeFollowed && answer(outcome).changed === true,
    action: 'renew-token',
    set: { changeFollowed: true },
  },
  {
    name: 'renews a token that is refused',
    on: 'answered',
    when: (state, outcome) => !state.tokenRenewed && mayRefuseToken(state, outcome),
    action: 'renew-token',
    set: { tokenRenewed: true },
  },
  {
    name: 'renews a login that the registry refuses',
    on: 'answered',
    when: (state) => isRefused(state) && state.challenged && !state.loginRenewed,
    action: 'renew-login',
  },
  {
    name: 'sends credentials to a registry that refuses anonymous requests without asking for a login',
    on: 'answered',
    when: (state, outcome) => !state.challenged && mayNeedLogin(state, outcome),
    action: 'ask-for-challenge',
    set: { askedForChallenge: true },
  },
  {
    name: 'tries the next credential when this one may not see it',
    on: 'answered',
    when: ({ challenged, mayBeHidden, status }) => mayBeHidden && challenged && status === 404,
    action: 'next-that-may-see',
  },
  {
    name: 'tries the next credential at the registry',
    on: 'answered',
    when: (state) => isRefused(state) && state.challenged,
    action: 'next-credential',
  },
  { name: 'returns every other answer', on: 'answered', action: 'return' },

  {
    name: 'allows the caller to repeat an upload with the renewed login',
    on: 'login-renewed',
    when: ({ piped, status }) => piped && status !== undefined,
    action: 'fail-upload',
  },
  { name: 'continues with the renewed login', on: 'login-renewed', action: 'authorize', set: { loginRenewed: true } },
  {
    name: 'returns an upload that no other login is allowed to do',
    on: 'login-kept',
    when: ({ piped, status }) => piped && status !== undefined,
    action: 'return',
  },
  { name: 'tries the next credential when the login stays', on: 'login-kept', action: 'next-credential' },

  { name: 'answers the challenge', on: 'challenge-known', action: 'authorize', set: { challenged: true } },
  { name: 'returns the answer without a challenge', on: 'no-challenge', action: 'return' },

  {
    name: 'authorizes with the next credential',
    on: 'another-credential',
    action: 'authorize',
    set: { tokenRenewed: false, scopesTaken: false },
  },
  {
    name: 'reports absence when no credential can see the image',
    on: 'no-more-credentials',
    when: ({ status }) => status === 404,
    action: 'return',
  },
  { name: 'fails with the first refusal', on: 'no-more-credentials', action: 'fail' },
];

export interface LoginStep {
  readonly action: LoginAction;
  readonly state: LoginState;
  /** The matching row. */
  readonly transition: string;
}

/** The next action. The rows cover every outcome: the last one of each has no condition. */
export function nextLoginStep(before: LoginState, outcome: LoginOutcome): LoginStep {
  const state = { ...before, ...statusAfter(outcome) };
  const row = LOGIN_TRANSITIONS.find(({ on, when }) => on === outcome.type && (when?.(state, outcome) ?? true));
  if (row === undefined) throw new Error(`no transition for ${outcome.type}`);
  return { action: row.action, state: { ...state, ...row.set }, transition: row.name };
}

function statusAfter(outcome: LoginOutcome): Partial<LoginState> {
  if (outcome.type === 'answered') return { status: outcome.status };
  return outcome.type === 'no-authorization' ? { status: undefined } : {};
}
