import { describe, expect, it } from 'vitest';
import {
  LOGIN_TRANSITIONS,
  nextLoginStep,
  type LoginAction,
  type LoginAnswer,
  type LoginOutcome,
  type LoginState,
} from '../../../extension-service/src/registry/transport/login-steps.js';

const fresh: LoginState = {
  piped: false,
  mayBeHidden: false,
  challenged: false,
  tokenRenewed: false,
  scopesTaken: false,
  changeFollowed: false,
  askedForChallenge: false,
  loginRenewed: false,
  status: undefined,
};
const challenged = { challenged: true };

function answered(status: number, more: Partial<LoginAnswer> = {}): LoginOutcome {
  return {
    type: 'answered',
    status,
    challenged: true,
    bearer: false,
    read: true,
    changed: false,
    furtherScopes: false,
    ...more,
  };
}

interface Row {
  readonly transition: string;
  readonly state?: Partial<LoginState>;
  readonly outcome: LoginOutcome;
  readonly action: LoginAction;
  /** Changes that the transition makes to the state, except for the status of a response. */
  readonly then?: Partial<LoginState>;
}

const rows: readonly Row[] = [
  {
    transition: 'answers a known challenge at once',
    outcome: { type: 'begun', challenged: true },
    action: 'authorize',
    then: challenged,
  },
  {
    transition: 'sends an unauthenticated request first',
    outcome: { type: 'begun', challenged: false },
    action: 'send',
  },
  { transition: 'sends with the current credential', outcome: { type: 'authorized' }, action: 'send' },
  {
    transition: 'fails when not the credential is at fault',
    state: challenged,
    outcome: { type: 'no-authorization', credential: false },
    action: 'fail',
  },
  {
    transition: 'renews a login that the token server refuses',
    state: { ...challenged, status: 401 },
    outcome: { type: 'no-authorization', credential: true },
    action: 'renew-login',
    then: { status: undefined },
  },
  {
    transition: 'tries the next credential at the token server',
    state: { ...challenged, loginRenewed: true },
    outcome: { type: 'no-authorization', credential: true },
    action: 'next-credential',
  },
  {
    transition: 'allows the caller to repeat a rejected upload',
    state: { ...challenged, piped: true },
    outcome: answered(401, { bearer: true }),
    action: 'fail-upload',
    then: { status: 401 },
  },
  {
    transition: 'allows the caller to repeat a rejected upload',
    state: { ...challenged, piped: true },
    outcome: answered(403, { bearer: true, furtherScopes: true }),
    action: 'fail-upload',
    then: { status: 403 },
  },
  {
    transition: 'answers a first challenge',
    outcome: answered(401),
    action: 'authorize',
    then: { ...challenged, status: 401 },
  },
  {
    transition: 'finds out how to log in where the refusal does not say it',
    outcome: answered(401, { challenged: false }),
    action: 'ask-for-challenge',
    then: { status: 401, askedForChallenge: true },
  },
  ...[401, 403].map((status): Row => ({
    transition: 'requests the scopes of the challenge',
    state: challenged,
    outcome: answered(status, { bearer: true, furtherScopes: true }),
    action: 'take-scopes',
    then: { status, scopesTaken: true },
  })),
  {
    transition: 'answers a challenge that has changed',
    state: challenged,
    outcome: answered(401, { changed: true }),
    action: 'renew-token',
    then: { status: 401, changeFollowed: true },
  },
  {
    transition: 'renews a token that is refused',
    state: { ...challenged, scopesTaken: true, changeFollowed: true },
    outcome: answered(401, { bearer: true, changed: true, furtherScopes: true }),
    action: 'renew-token',
    then: { status: 401, tokenRenewed: true },
  },
  {
    transition: 'renews a token that is refused',
    state: challenged,
    outcome: answered(401, { bearer: true }),
    action: 'renew-token',
    then: { status: 401, tokenRenewed: true },
  },
  {
    // ECR Public (aws/containers-roadmap issue 2835).
    transition: 'renews a token that is refused',
    state: challenged,
    outcome: answered(400, { bearer: true }),
    action: 'renew-token',
    then: { status: 400, tokenRenewed: true },
  },
  ...[
    { state: { ...challenged, tokenRenewed: true }, outcome: answered(400, { bearer: true }) },
    { state: challenged, outcome: answered(400, { bearer: true, read: false }) },
    { state: challenged, outcome: answered(400) },
  ].map((row): Row => ({
    ...row,
    transition: 'returns every other answer',
    action: 'return',
    then: { status: 400 },
  })),
  ...[401, 403].map((status): Row => ({
    transition: 'renews a login that the registry refuses',
    state: { ...challenged, tokenRenewed: true },
    outcome: answered(status, { bearer: true }),
    action: 'renew-login',
    then: { status },
  })),
  ...[
    { state: { mayBeHidden: true }, status: 403, read: true },
    { state: { mayBeHidden: true }, status: 404, read: true },
    { state: {}, status: 403, read: true },
    { state: {}, status: 403, read: false },
    { state: {}, status: 404, read: false },
  ].map(({ state, status, read }): Row => ({
    transition: 'sends credentials to a registry that refuses anonymous requests without asking for a login',
    state,
    outcome: answered(status, { challenged: false, read }),
    action: 'ask-for-challenge',
    then: { status, askedForChallenge: true },
  })),
  {
    // Its body cannot be sent again.
    transition: 'returns every other answer',
    state: { piped: true },
    outcome: answered(403, { challenged: false, read: false }),
    action: 'return',
    then: { status: 403 },
  },
  {
    transition: 'tries the next credential when this one may not see it',
    state: { ...challenged, mayBeHidden: true },
    outcome: answered(404),
    action: 'next-that-may-see',
    then: { status: 404 },
  },
  ...[401, 403].map((status): Row => ({
    transition: 'tries the next credential at the registry',
    state: { ...challenged, tokenRenewed: true, loginRenewed: true },
    outcome: answered(status, { bearer: true }),
    action: 'next-credential',
    then: { status },
  })),
  ...[
    { outcome: answered(200) },
    { outcome: answered(200, { bearer: true }), state: challenged },
    { outcome: answered(404), state: challenged },
    { outcome: answered(404, { challenged: false }) },
    { outcome: answered(401, { challenged: false }), state: { askedForChallenge: true } },
    { outcome: answered(307), state: challenged },
    { outcome: answered(500), state: { ...challenged, mayBeHidden: true } },
  ].map(({ outcome, state }): Row => ({
    transition: 'returns every other answer',
    outcome,
    action: 'return',
    ...(state && { state }),
    then: { status: outcome.type === 'answered' ? outcome.status : undefined },
  })),
  {
    transition: 'allows the caller to repeat an upload with the renewed login',
    state: { ...challenged, piped: true, status: 403 },
    outcome: { type: 'login-renewed' },
    action: 'fail-upload',
  },
  {
    transition: 'continues with the renewed login',
    state: { ...challenged, status: 403 },
    outcome: { type: 'login-renewed' },
    action: 'authorize',
    then: { loginRenewed: true },
  },
  {
    transition: 'continues with the renewed login',
    state: { ...challenged, piped: true },
    outcome: { type: 'login-renewed' },
    action: 'authorize',
    then: { loginRenewed: true },
  },
  {
    transition: 'returns an upload that no other login is allowed to do',
    state: { ...challenged, piped: true, status: 403 },
    outcome: { type: 'login-kept' },
    action: 'return',
  },
  {
    transition: 'tries the next credential when the login stays',
    state: { ...challenged, status: 403 },
    outcome: { type: 'login-kept' },
    action: 'next-credential',
  },
  {
    transition: 'answers the challenge',
    state: { mayBeHidden: true, status: 404 },
    outcome: { type: 'challenge-known' },
    action: 'authorize',
    then: challenged,
  },
  {
    transition: 'returns the answer without a challenge',
    state: { mayBeHidden: true, status: 404 },
    outcome: { type: 'no-challenge' },
    action: 'return',
  },
  {
    transition: 'authorizes with the next credential',
    state: { ...challenged, tokenRenewed: true, scopesTaken: true, loginRenewed: true, status: 401 },
    outcome: { type: 'another-credential' },
    action: 'authorize',
    then: { tokenRenewed: false, scopesTaken: false },
  },
  {
    transition: 'reports absence when no credential can see the image',
    state: { ...challenged, mayBeHidden: true, status: 404 },
    outcome: { type: 'no-more-credentials' },
    action: 'return',
  },
  {
    transition: 'fails with the first refusal',
    state: { ...challenged, status: 401 },
    outcome: { type: 'no-more-credentials' },
    action: 'fail',
  },
];

describe('the steps of a login', () => {
  it.each(rows)('$transition: $action', ({ transition, state = {}, outcome, action, then = {} }) => {
    const before = { ...fresh, ...state };
    expect(nextLoginStep(before, outcome)).toEqual({ transition, action, state: { ...before, ...then } });
  });

  it('are all tested and have unique names', () => {
    const names = LOGIN_TRANSITIONS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(rows.map(({ transition }) => transition))).toEqual(new Set(names));
  });

  it('end for every registry: each credential has at most two tokens and one other scope, each login at most one renewal', () => {
    // The registry refuses every request, and the keychain always has another login.
    let state: LoginState = { ...fresh, mayBeHidden: true };
    let outcome: LoginOutcome = { type: 'begun', challenged: false };
    let credentials = 3;
    const actions: LoginAction[] = [];
    for (let steps = 0; steps < 100; steps += 1) {
      const step = nextLoginStep(state, outcome);
      state = step.state;
      actions.push(step.action);
      if (step.action === 'fail' || step.action === 'return') break;
      if (step.action === 'send') {
        outcome = answered(401, { bearer: state.challenged, changed: true, furtherScopes: true });
      } else if (step.action === 'renew-login') outcome = { type: 'login-renewed' };
      else if (step.action === 'next-credential') {
        credentials -= 1;
        outcome = { type: credentials > 0 ? 'another-credential' : 'no-more-credentials' };
      } else outcome = { type: 'authorized' };
    }
    expect(actions.at(-1)).toBe('fail');
    expect(actions.filter((action) => action === 'renew-login')).toHaveLength(1);
    expect(actions.filter((action) => action === 'renew-token')).toHaveLength(4);
    expect(actions.filter((action) => action === 'take-scopes')).toHaveLength(3);
  });
});
