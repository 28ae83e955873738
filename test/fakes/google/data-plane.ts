import { randomBytes } from 'node:crypto';
import type { Hook, HookRequest, HookResult } from '../tls-proxy.js';
import type { RepositoryState } from './repository-state.js';
import type { FakeRegistry } from '../registry.js';
import { deletionRefusal } from './deletion-rules.js';
import type { GoogleTokens } from './tokens.js';

export interface DataPlaneOptions {
  /** `europe-docker.pkg.dev` */
  readonly host: string;
  readonly tokens: GoogleTokens;
  /** The existing repositories and who may pull and push. If absent, every identity may do everything. */
  readonly state?: RepositoryState;
  /** The registry behind this data plane. Its manifests cannot be deleted while something refers to them. */
  readonly registry?: FakeRegistry;
}

/** A request to a host of Google's registries, with the caller. */
export interface DataPlaneRequest {
  readonly method: string;
  readonly path: string;
  readonly identity: string | undefined;
  readonly headers: HookRequest['headers'];
}

/**
 * The front of Artifact Registry, as a hook of {@link TlsProxy}. It has the token endpoint (which accepts
 * `oauth2accesstoken` and `_json_key`), the challenge, and the errors for missing repositories and permissions. It
 * refuses chunked uploads. Allowed requests go to the registry behind the proxy, without the credentials.
 */
export class DataPlane {
  readonly requests: DataPlaneRequest[] = [];
  /** User names in the requests to the token endpoint. */
  readonly logins: string[] = [];
  /** Service account keys that `_json_key` accepts, as text. */
  readonly keys = new Set<string>();
  /** `PROJECT/REPOSITORY` names that anyone may pull from. */
  readonly public = new Set<string>();
  /** The number of pushes that get a "not found" for the repository although it exists. */
  missing = 0;
  readonly #grants = new Map<string, string>();

  constructor(private readonly options: DataPlaneOptions) {}

  readonly hook: Hook = (request) => this.#answer(request);

  /** Invalidates all registry tokens, as after their few minutes. */
  revoke(): void {
    this.#grants.clear();
  }

  #answer({ method, path, headers }: HookRequest): HookResult {
    const { host } = this.options;
    if (path === '/v2/token') return this.#token(headers.authorization);
    const identity = this.#grants.get(headers.authorization?.replace(/^Bearer /, '') ?? '');
    this.requests.push({ method, path, identity, headers });
    if (identity === undefined) {
      const challenge = `Bearer realm="https://${host}/v2/token",service="${host}"`;
      return failure(401, 'UNAUTHORIZED', 'Unauthenticated request.', { 'www-authenticate': challenge });
    }
    // artifact-registry/docs/docker: chunked uploads are not supported.
    if (method === 'PATCH') return failure(405, 'UNSUPPORTED', 'The operation is unsupported.');
    // In image names, a domain-scoped project is written as example.com/name.
    const [, project = '', repository = ''] = /^\/v2\/((?:[^/]+\.[^/]+\/)?[^/]+)\/([^/]+)\//.exec(path) ?? [];
    const isPublic = this.public.has(`${project}/${repository}`);
    return this.#permission({ method, path }, `${project}/${repository}`, repository, identity, isPublic) ?? undefined;
  }

  #permission(
    { method, path }: Pick<HookRequest, 'method' | 'path'>,
    place: string,
    repository: string,
    identity: string,
    isPublic: boolean,
  ): HookResult {
    const { state, host, registry } = this.options;
    const reads = method === 'GET' || method === 'HEAD';
    if (identity === 'anonymous' && !(isPublic && reads)) return this.#denied('downloadArtifacts', place);
    if (state === undefined || repository === '') return undefined;
    const project = place.slice(0, -repository.length - 1).replace('/', ':');
    const name = `projects/${project}/locations/${host.replace('-docker.pkg.dev', '')}/repositories/${repository}`;
    const deletes = method === 'DELETE' && path.includes('/manifests/');
    const permission = reads ? 'downloadArtifacts' : deletes ? 'deleteArtifacts' : 'uploadArtifacts';
    if (!isPublic && !state.has(identity, `artifactregistry.repositories.${permission}`)) {
      return this.#denied(permission, place);
    }
    if (!reads && this.missing > 0) {
      this.missing--;
      state.repositories.set(name, { name, format: 'DOCKER' });
      return failure(404, 'NAME_UNKNOWN', `Repository "${repository}" not found`);
    }
    const found = state.repositories.get(name);
    if (found === undefined) return failure(404, 'NAME_UNKNOWN', `Repository "${repository}" not found`);
    if (!deletes || registry === undefined) return undefined;
    return deletionRefusal(registry, path, found.dockerConfig?.immutableTags === true);
  }

  #denied(permission: string, place: string): HookResult {
    const text = `Permission "artifactregistry.repositories.${permission}" denied on resource "${place}" (or it may not exist)`;
    return failure(403, 'DENIED', text);
  }

  #token(authorization: string | undefined): HookResult {
    let identity: string | undefined = 'anonymous';
    if (authorization !== undefined) {
      const [user = '', ...rest] = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
        .toString()
        .split(':');
      this.logins.push(user);
      const password = rest.join(':');
      identity =
        user === 'oauth2accesstoken' ? this.options.tokens.identityOf(password) : this.#keyOwner(user, password);
    }
    if (identity === undefined) return failure(401, 'UNAUTHORIZED', 'authentication failed');
    const token = randomBytes(32).toString('base64url');
    this.#grants.set(token, identity);
    const body = JSON.stringify({ token, expires_in: 300, issued_at: new Date().toISOString() });
    return { status: 200, headers: { 'content-type': 'application/json' }, body };
  }

  #keyOwner(user: string, password: string): string | undefined {
    const text = user === '_json_key_base64' ? Buffer.from(password, 'base64').toString() : password;
    if (user !== '_json_key' && user !== '_json_key_base64') return undefined;
    if (!this.keys.has(text)) return undefined;
    return (JSON.parse(text) as { client_email: string }).client_email;
  }
}

function failure(status: number, code: string, message: string, headers: Record<string, string> = {}): HookResult {
  const body = JSON.stringify({ errors: [{ code, message }] });
  return { status, headers: { 'content-type': 'application/json', ...headers }, body };
}
