import type { IncomingMessage } from 'node:http';
import type { AuthConfig, Config, KyvernoAuthConfig, ServedRoute } from '../core/config/model.js';
import { hasAuthentication, isAuthenticationOptional, pathOfRoute, servedRoutes } from '../core/engines/access.js';
import { SECRET_HEADER } from '../core/engines/routes.js';
import type { ClientCertificates } from './client-certificates.js';
import { isSecret } from './secrets.js';
import { TokenReviewError } from './token-reviews.js';
import type { TokenReviews } from './token-reviews.js';

/** A caller that is answered. */
export interface Caller {
  /** False for an unauthenticated caller, whose information about a Pod's pull secrets is not trusted. */
  readonly isTrusted: boolean;
}

/** Why a caller is rejected. */
export interface CallerRefusal {
  readonly status: 401 | 403 | 404 | 503;
  readonly code: string;
  readonly message: string;
}

export interface CallersDependencies {
  /** The current configuration. */
  readonly current: () => Pick<Config, 'auth' | 'server' | 'tls' | 'policies'>;
  readonly certificates: Pick<ClientCertificates, 'refusal'>;
  readonly tokens: Pick<TokenReviews, 'user'>;
  /** An optional token cannot be checked now. */
  readonly onReviewFailure: (message: string) => void;
  /** Milliseconds. */
  readonly now: () => number;
}

type Authenticator = (
  auth: AuthConfig,
  request: IncomingMessage,
  segment: string | undefined,
) => AuthenticationResult | Promise<AuthenticationResult>;

/** A caller that was identified by the check; undefined if the result does not matter for this caller. */
type AuthenticationResult = Caller | CallerRefusal | undefined;

/** Milliseconds without checks of optional tokens after the API server failed: admissions would wait. */
const REVIEW_PAUSE_MS = 10_000;

/** In node:http's spelling. */
const HEADER = SECRET_HEADER.toLowerCase();

/** Decides which callers each route answers. */
export class Callers {
  /** The required authentication of a route's callers, apart from a certificate. */
  private readonly authenticators: Readonly<Partial<Record<ServedRoute, Authenticator>>> = {
    kyverno: ({ kyverno }, request) => this.kyverno(kyverno, request),
    webhook: ({ webhook: { path } }, _request, segment) =>
      path === undefined || isSecret(segment, path)
        ? undefined
        : unknownCaller('the path does not contain auth.webhook.path; render and apply the policy again'),
  };

  /** Time on the clock of `now`. */
  private noReviewsUntil = 0;

  constructor(private readonly dependencies: CallersDependencies) {}

  /** @param segment the first part of the path after `/webhook/` */
  async check(route: ServedRoute, request: IncomingMessage, segment?: string): Promise<Caller | CallerRefusal> {
    const config = this.dependencies.current();
    if (!servedRoutes(config).has(route)) return notServed(config, route);
    const certificate = this.dependencies.certificates.refusal(route, request.socket);
    if (certificate !== undefined) return certificate;
    const proven = await this.authenticators[route]?.(config.auth, request, segment);
    return proven ?? { isTrusted: hasAuthentication(config, route) };
  }

  /** For `/v1/explain` and `/v1/mirrors`, which show image names of every tenant. */
  checkReader(request: IncomingMessage): CallerRefusal | undefined {
    if (isLoopback(request.socket.remoteAddress)) return undefined;
    const { secret } = this.dependencies.current().auth.explain;
    if (secret !== undefined && isSecret(headerOf(request), secret)) return undefined;
    const how = secret === undefined ? 'or set auth.explain.secret' : `or send auth.explain.secret in ${SECRET_HEADER}`;
    return {
      status: 403,
      code: 'loopback_only',
      message: `this route is served only on loopback: use kubectl port-forward to a Pod of the service, ${how}`,
    };
  }

  private async kyverno(auth: KyvernoAuthConfig, request: IncomingMessage): Promise<AuthenticationResult> {
    if (!isAuthenticationOptional(auth)) return this.authenticate(auth, request);
    if (bearerOf(request) === undefined || this.dependencies.now() < this.noReviewsUntil) return { isTrusted: false };
    const refusal = await this.authenticate(auth, request);
    if (refusal?.status === 503) {
      this.noReviewsUntil = this.dependencies.now() + REVIEW_PAUSE_MS;
      this.dependencies.onReviewFailure(refusal.message);
    }
    return { isTrusted: refusal === undefined };
  }

  private async authenticate(auth: KyvernoAuthConfig, request: IncomingMessage): Promise<CallerRefusal | undefined> {
    const { secret, token, audience } = auth;
    if (secret === undefined && !token) return undefined;
    if (secret !== undefined && isSentSecret(headerOf(request), secret)) return undefined;
    const sent = token ? bearerOf(request) : undefined;
    if (sent === undefined) return unknownCaller(`the request has neither ${methodsOf(auth).join(' nor ')}`);
    try {
      const user = await this.dependencies.tokens.user(sent, audience);
      if (user === undefined) return unknownCaller(`the token is not valid for audience ${audience}`);
      if (auth.serviceAccounts.some((account) => user === userOf(account))) return undefined;
      const message = `the token belongs to ${user}, which auth.kyverno.serviceAccounts does not contain`;
      return { status: 403, code: 'caller_refused', message };
    } catch (error) {
      if (!(error instanceof TokenReviewError)) throw error;
      return { status: 503, code: 'token_review_failed', message: error.message };
    }
  }
}

/** A Secret's text arrives in base64 if the policy does not decode it. */
function isSentSecret(sent: string | undefined, secret: string): boolean {
  const encoded = isSecret(sent, Buffer.from(secret).toString('base64'));
  return isSecret(sent, secret) || encoded;
}

function methodsOf({ secret, token }: KyvernoAuthConfig): string[] {
  return [
    ...(secret === undefined ? [] : [`auth.kyverno.secret in ${SECRET_HEADER}`]),
    ...(token ? ["a token of Kyverno's ServiceAccount"] : []),
  ];
}

function unknownCaller(why: string): CallerRefusal {
  return { status: 401, code: 'caller_unknown', message: `this route requires authentication: ${why}` };
}

function notServed(config: Pick<Config, 'auth' | 'server' | 'tls' | 'policies'>, route: ServedRoute): CallerRefusal {
  const served = [...servedRoutes(config)].join(', ');
  const why =
    config.server.routes === undefined
      ? 'another route has authentication but this one does not: add it to server.routes, or configure authentication'
      : 'server.routes does not contain it';
  const message = `${pathOfRoute(route)} is not served, because ${why} (served: ${served})`;
  return { status: 404, code: 'not_served', message };
}

function headerOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[HEADER];
  return typeof value === 'string' ? value : undefined;
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}

function userOf(account: string): string {
  return `system:serviceaccount:${account.replace('/', ':')}`;
}

/**
 * `kubectl port-forward` arrives from here. Not all of 127.0.0.0/8: service meshes deliver all requests from 127.0.0.6.
 */
function isLoopback(address: string | undefined): boolean {
  return address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1';
}
