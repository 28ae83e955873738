import { randomBytes } from 'node:crypto';
import type { HookRequest, HookResult } from '../tls-proxy.js';
import type { FakeEntra } from './entra.js';
import { json, TENANT } from './entra.js';

/** Maximum size of a request body. */
const MAX_BODY_BYTES = 20_000_000;

/** The permissions that requests need by method. Every other method needs push. */
const ACTIONS: Readonly<Record<string, string>> = { GET: 'pull', HEAD: 'pull', DELETE: 'delete' };

interface Grant {
  readonly scopes: readonly { readonly repository: string; readonly actions: readonly string[] }[];
}

/**
 * The front of a registry in Azure Container Registry, as a hook of TlsProxy. It exchanges Entra tokens for refresh
 * tokens, and has the token endpoint and the challenge. Allowed requests go to the registry behind it.
 */
export class AcrPlane {
  /** Form fields of the requests to /oauth2/exchange. */
  readonly exchanges: URLSearchParams[] = [];
  /** Refresh tokens in the requests to /oauth2/token. */
  readonly refreshTokens: string[] = [];
  readonly issued: string[] = [];
  /** Bearer tokens of the requests; '' for a request without one. */
  readonly bearers: string[] = [];
  /** The role of the identity. */
  role: 'AcrPush' | 'AcrPull' = 'AcrPush';
  /** Whether the identity also has AcrDelete. */
  mayDelete = false;
  /** A response to /oauth2/exchange instead of the token. */
  exchanged: object | undefined;
  /** Lifetime of refresh tokens, in seconds. */
  life = 3 * 3600;
  /** Whether the registry rejects tokens of all tenants. */
  refusesEntra = false;
  readonly #refresh = new Map<string, number>();
  readonly #access = new Map<string, Grant>();

  constructor(
    readonly host: string,
    private readonly entra: FakeEntra,
  ) {}

  readonly hook = (request: HookRequest): Promise<HookResult> => this.#answer(request, this.host);

  /** The same at a regional endpoint, whose challenges name the endpoint as realm and the registry as service. */
  hookAt(endpoint: string): (request: HookRequest) => Promise<HookResult> {
    return (request) => this.#answer(request, endpoint);
  }

  async #answer(request: HookRequest, endpoint: string): Promise<HookResult> {
    const { method, path, headers } = request;
    if (Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES) return failure(413, 'SIZE_INVALID', 'too large');
    if (path.startsWith('/oauth2/')) {
      const isForm = headers['content-type'] === 'application/x-www-form-urlencoded';
      if (method !== 'POST' || !isForm) return failure(400, 'UNSUPPORTED', 'POST a form');
      const form = new URLSearchParams((await request.body()).toString());
      return path === '/oauth2/exchange' ? this.#exchange(form) : this.#token(form);
    }
    return this.#allowed(method, path, { authorization: headers.authorization, endpoint });
  }

  /** Invalidates every refresh token. */
  revoke(): void {
    this.#refresh.clear();
    this.#access.clear();
  }

  #exchange(form: URLSearchParams): HookResult {
    this.exchanges.push(form);
    const grant = this.entra.grantOf(form.get('access_token') ?? '');
    const good =
      form.get('grant_type') === 'access_token' &&
      form.get('service') === this.host &&
      form.get('tenant') === TENANT &&
      grant?.tenant === TENANT &&
      grant.audience === 'https://containerregistry.azure.net' &&
      !this.refusesEntra;
    if (!good) return failure(401, 'UNAUTHORIZED', 'authentication required');
    if (this.exchanged !== undefined) return json(200, this.exchanged);
    const expires = Math.floor(Date.now() / 1_000) + this.life;
    const payload = Buffer.from(JSON.stringify({ aud: this.host, exp: expires })).toString('base64url');
    const token = `eyJhbGciOiJSUzI1NiJ9.${payload}.${randomBytes(24).toString('base64url')}`;
    this.#refresh.set(token, expires * 1_000);
    this.issued.push(token);
    return json(200, { refresh_token: token });
  }

  #token(form: URLSearchParams): HookResult {
    const token = form.get('refresh_token') ?? '';
    this.refreshTokens.push(token);
    const good = form.get('grant_type') === 'refresh_token' && form.get('service') === this.host;
    if (!good || (this.#refresh.get(token) ?? 0) <= Date.now()) {
      return failure(401, 'UNAUTHORIZED', 'the refresh token is not valid');
    }
    const allowedActions = [
      ...(this.role === 'AcrPush' ? ['pull', 'push'] : ['pull']),
      ...(this.mayDelete ? ['delete'] : []),
    ];
    const scopes = (form.get('scope') ?? '').split(' ').map((scope) => {
      const [, repository = '', actions = ''] = /^repository:(.+):([a-z,]+)$/.exec(scope) ?? [];
      return { repository, actions: actions.split(',').filter((action) => allowedActions.includes(action)) };
    });
    const access = randomBytes(24).toString('base64url');
    this.#access.set(access, { scopes });
    return json(200, { access_token: access });
  }

  #allowed(
    method: string,
    path: string,
    { authorization, endpoint }: { readonly authorization: string | undefined; readonly endpoint: string },
  ): HookResult {
    const bearer = authorization?.replace(/^Bearer /, '') ?? '';
    this.bearers.push(bearer);
    const [, repository = ''] = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path) ?? [];
    const isManifest = path.includes('/manifests/');
    const action = method === 'DELETE' && !isManifest ? 'push' : (ACTIONS[method] ?? 'push');
    const grant = this.#access.get(bearer);
    if (grant?.scopes.some((scope) => scope.repository === repository && scope.actions.includes(action)) === true) {
      return undefined;
    }
    const wanted = action === 'push' ? 'pull,push' : action;
    const scope = repository === '' ? '' : `,scope="repository:${repository}:${wanted}"`;
    const more = grant === undefined ? '' : ',error="insufficient_scope"';
    const challenge = `Bearer realm="https://${endpoint}/oauth2/token",service="${this.host}"${scope}${more}`;
    return failure(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge });
  }
}

function failure(status: number, code: string, message: string, headers: Record<string, string> = {}): HookResult {
  return json(status, { errors: [{ code, message, detail: null }] }, headers);
}
