import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface FakeAuthOptions {
  readonly type: 'basic' | 'bearer';
  /** Passwords by user name. */
  readonly users: Readonly<Record<string, string>>;
  /** Permissions of a user, by repository. If absent, the user may do everything. */
  readonly permissions?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  /** Refresh tokens (`identitytoken` of a Docker config) by user name. */
  readonly identityTokens?: Readonly<Record<string, string>>;
  /** Base URL or any other text for the challenge instead of this registry's own token endpoint. */
  readonly realm?: string;
  readonly service?: string;
  /** Lifetime of a token in seconds. If absent, it is 300 and the response does not contain `expires_in`. */
  readonly expiresIn?: number;
  /** A whole WWW-Authenticate header that replaces the default. */
  readonly challenge?: string;
  /**
   * Whether forbidden repositories look missing: to authenticated users, or also to anonymous users, who then do not
   * get a challenge.
   */
  readonly hides?: 'from-users' | 'from-everybody';
  /** Anonymous requests that are not allowed get a 403 without a challenge. */
  readonly refusesAnonymous?: boolean;
  /** An issuer whose tokens are accepted, so that one registry can be the token server of another. */
  readonly issuer?: TokenIssuer;
}

interface Access {
  readonly repository: string;
  readonly actions: readonly string[];
}

interface Grant {
  readonly user: string | undefined;
  readonly access: readonly Access[];
  readonly expires: number;
}

/** Issues opaque tokens and stores their permissions. */
export class TokenIssuer {
  readonly #grants = new Map<string, Grant>();

  issue(user: string | undefined, access: readonly Access[], seconds: number): string {
    const token = randomBytes(24).toString('base64url');
    this.#grants.set(token, { user, access, expires: Date.now() + seconds * 1000 });
    return token;
  }

  check(token: string): Grant | undefined {
    const grant = this.#grants.get(token);
    return grant !== undefined && grant.expires > Date.now() ? grant : undefined;
  }

  /** Invalidates every token, as after a key change of the token server. */
  revokeAll(): void {
    this.#grants.clear();
  }
}

/** A repository and the actions of the request in it. A mount has several of these. */
export type Needed = readonly { readonly repository: string; readonly action: 'pull' | 'push' | 'delete' }[];

export type AuthAnswer =
  | { readonly ok: true; readonly user?: string }
  | { readonly ok: false; readonly status: number; readonly code: string; readonly challenge?: string };

export interface TokenAnswer {
  readonly status: number;
  readonly body: unknown;
}

export class FakeAuth {
  readonly issuer: TokenIssuer;
  readonly #options: FakeAuthOptions;
  readonly #anonymousPull: boolean;

  constructor(options: FakeAuthOptions, anonymousPull: boolean) {
    this.#options = options;
    this.#anonymousPull = anonymousPull;
    this.issuer = options.issuer ?? new TokenIssuer();
  }

  /** Returns whether the request is allowed, or else the 401, 403 or 404 to send. */
  check(request: IncomingMessage, origin: string, needed: Needed): AuthAnswer {
    const answer = this.#check(request, origin, needed);
    const { hides, refusesAnonymous = false } = this.#options;
    const isAnonymous = request.headers.authorization === undefined && needed.length > 0;
    if (!answer.ok && refusesAnonymous && isAnonymous) return { ok: false, status: 403, code: 'DENIED' };
    if (answer.ok || hides === undefined || needed.length === 0) return answer;
    const { authorization: header = '' } = request.headers;
    const user = this.#basicUser(header) ?? this.issuer.check(header.replace(/^bearer /i, ''))?.user;
    if (user === undefined && hides === 'from-users') return answer;
    return { ok: false, status: 404, code: 'NAME_UNKNOWN' };
  }

  #check(request: IncomingMessage, origin: string, needed: Needed): AuthAnswer {
    const header = request.headers.authorization ?? '';
    if (this.#options.type === 'basic') {
      const user = this.#basicUser(header);
      if (user === undefined) {
        const open =
          this.#anonymousPull && header === '' && needed.length > 0 && needed.every((n) => n.action === 'pull');
        if (open) return { ok: true };
        return this.#unauthorized(this.#options.challenge ?? 'Basic realm="fake registry"');
      }
      const denied = needed.some((n) => !this.#allowed(user, n.repository).includes(n.action));
      return denied ? { ok: false, status: 403, code: 'DENIED' } : { ok: true, user };
    }
    const grant = /^bearer /i.test(header) ? this.issuer.check(header.slice(7)) : undefined;
    const covered =
      grant !== undefined &&
      needed.every((n) => grant.access.some((a) => a.repository === n.repository && a.actions.includes(n.action)));
    if (covered) return { ok: true, ...(grant.user === undefined ? {} : { user: grant.user }) };
    return this.#unauthorized(this.#options.challenge ?? this.#bearerChallenge(origin, needed, grant !== undefined));
  }

  /** The token endpoint: GET with Basic, or POST with a refresh token or a password (distribution's oauth2 flow). */
  token(request: IncomingMessage, query: URLSearchParams, form: URLSearchParams | undefined): TokenAnswer {
    let user: string | undefined;
    if (form !== undefined) {
      user = this.#formUser(form);
      if (user === undefined) return refusal(401);
    } else if (request.headers.authorization !== undefined) {
      user = this.#basicUser(request.headers.authorization);
      if (user === undefined) return refusal(401);
    }
    const scopes = (form?.get('scope')?.split(' ') ?? query.getAll('scope').flatMap((s) => s.split(' '))).filter(
      Boolean,
    );
    const access = scopes.map((scope) => this.#grantScope(user, scope));
    const seconds = this.#options.expiresIn ?? 300;
    const token = this.issuer.issue(user, access, seconds);
    const expiry = this.#options.expiresIn === undefined ? {} : { expires_in: seconds };
    return { status: 200, body: form === undefined ? { token, ...expiry } : { access_token: token, ...expiry } };
  }

  #grantScope(user: string | undefined, scope: string): Access {
    const match = /^repository(?:\([^)]*\))?:(.+):([^:]*)$/.exec(scope);
    if (match === null) return { repository: '', actions: [] };
    const repository = match[1] ?? '';
    const allowed = user === undefined ? (this.#anonymousPull ? ['pull'] : []) : this.#allowed(user, repository);
    return { repository, actions: (match[2] ?? '').split(',').filter((action) => allowed.includes(action)) };
  }

  #allowed(user: string, repository: string): readonly string[] {
    const permissions = this.#options.permissions?.[user];
    if (permissions === undefined) return ['pull', 'push', 'delete'];
    return permissions[repository] ?? permissions['*'] ?? [];
  }

  #basicUser(header: string): string | undefined {
    if (!/^basic /i.test(header)) return undefined;
    const text = Buffer.from(header.slice(6), 'base64').toString('utf8');
    const colon = text.indexOf(':');
    const user = text.slice(0, colon);
    return colon > 0 && this.#options.users[user] === text.slice(colon + 1) ? user : undefined;
  }

  #formUser(form: URLSearchParams): string | undefined {
    if (form.get('grant_type') === 'password') {
      const user = form.get('username') ?? '';
      return this.#options.users[user] === form.get('password') ? user : undefined;
    }
    const token = form.get('refresh_token');
    const entry = Object.entries(this.#options.identityTokens ?? {}).find(([, value]) => value === token);
    return form.get('grant_type') === 'refresh_token' ? entry?.[0] : undefined;
  }

  #bearerChallenge(origin: string, needed: Needed, insufficient: boolean): string {
    const byRepository = new Map<string, string[]>();
    for (const { repository, action } of needed) {
      byRepository.set(repository, [
        ...(byRepository.get(repository) ?? []),
        ...(action === 'push' ? ['pull', 'push'] : [action]),
      ]);
    }
    const scope = [...byRepository]
      .map(([repository, actions]) => `repository:${repository}:${actions.join(',')}`)
      .join(' ');
    const parts = [
      `realm="${this.#options.realm ?? `${origin}/token`}"`,
      `service="${this.#options.service ?? 'fake'}"`,
    ];
    if (scope !== '') parts.push(`scope="${scope}"`);
    if (insufficient) parts.push('error="insufficient_scope"');
    return `Bearer ${parts.join(',')}`;
  }

  #unauthorized(challenge: string): AuthAnswer {
    return { ok: false, status: 401, code: 'UNAUTHORIZED', challenge };
  }
}

function refusal(status: number): TokenAnswer {
  return { status, body: { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] } };
}
