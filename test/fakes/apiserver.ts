import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { sharedCertificates } from './certificates.js';
import { kubeconfigFor } from './kubeconfig.js';

const TOKEN_REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';

interface Stored {
  readonly apiVersion: string;
  readonly kind: string;
  readonly type?: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion: string };
  readonly [key: string]: unknown;
}

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

interface Event {
  readonly type: EventType;
  readonly version: number;
  readonly object: Stored;
}

interface Watcher {
  readonly plural: string;
  readonly query: URLSearchParams;
  readonly response: ServerResponse;
}

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
}

/**
 * The Kubernetes API on loopback for Secrets and ServiceAccounts: reads by name, lists of the whole cluster by page and
 * type, and watches. It requires a bearer token and has a request log.
 */
export class FakeApiServer {
  readonly requests: ApiRequest[] = [];
  /** Audience and token of each TokenReview, in order. */
  readonly reviews: { readonly token: string; readonly audiences: readonly string[] }[] = [];
  private readonly tokens = new Map<string, { readonly user: string; readonly audience: string }>();
  private readonly objects = new Map<string, Stored>();
  private readonly statuses = new Map<string, number | 'hang' | 'stall'>();
  private readonly watchers = new Set<Watcher>();
  private readonly events: Event[] = [];
  private version = 100;
  /** Watches that start before this version get a 410. */
  private oldest = 0;

  private constructor(
    private readonly server: Server,
    readonly origin: string,
    readonly token: string,
    readonly ca: string,
  ) {}

  static async start(token = 'fake-token'): Promise<FakeApiServer> {
    const { ca, cert, key } = await sharedCertificates(['127.0.0.1']);
    const server = createServer({ cert, key });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fake = new FakeApiServer(server, `https://127.0.0.1:${(server.address() as AddressInfo).port}`, token, ca);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => fake.answer(request, response));
    return fake;
  }

  /** Adds a Secret of type kubernetes.io/dockerconfigjson. */
  putPullSecret(
    namespace: string,
    name: string,
    auths: Readonly<Record<string, { username: string; password: string }>>,
  ): void {
    const entries = Object.entries(auths).map(([host, { username, password }]) => [
      host,
      { username, password, auth: Buffer.from(`${username}:${password}`).toString('base64') },
    ]);
    const document = JSON.stringify({ auths: Object.fromEntries(entries) as unknown });
    this.putSecret(namespace, name, { '.dockerconfigjson': document }, 'kubernetes.io/dockerconfigjson');
  }

  putSecret(namespace: string, name: string, data: Readonly<Record<string, string>>, type = 'Opaque'): void {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
    this.put('secrets', namespace, name, { kind: 'Secret', type, data: Object.fromEntries(encoded) as unknown });
  }

  putServiceAccount(namespace: string, name: string, pullSecrets: readonly string[]): void {
    const imagePullSecrets = pullSecrets.map((secret) => ({ name: secret }));
    this.put('serviceaccounts', namespace, name, { kind: 'ServiceAccount', imagePullSecrets });
  }

  /** Adds a token that a TokenReview for the audience accepts. */
  putToken(token: string, user: string, audience: string): void {
    this.tokens.set(token, { user, audience });
  }

  /** Adds a Pod, which lists of its namespace show. */
  putPod(namespace: string, name: string, spec: object): void {
    this.put('pods', namespace, name, { kind: 'Pod', spec });
  }

  remove(plural: 'secrets' | 'serviceaccounts', namespace: string, name: string): void {
    const path = `/api/v1/namespaces/${namespace}/${plural}/${name}`;
    const object = this.objects.get(path);
    if (object === undefined) return;
    this.objects.delete(path);
    const metadata = { ...object.metadata, resourceVersion: String(++this.version) };
    this.tell(plural, 'DELETED', { ...object, metadata });
  }

  /**
   * From now on, requests for the path get an error status, no response (`hang`), or only the beginning of a response
   * (`stall`).
   */
  refuse(path: string, status: number | 'hang' | 'stall'): void {
    this.statuses.set(path, status);
  }

  /** Undoes `refuse`. */
  allow(path: string): void {
    this.statuses.delete(path);
  }

  /** Returns the number of open watches on a collection. */
  watches(plural: string): number {
    return [...this.watchers].filter((watcher) => watcher.plural === plural).length;
  }

  /** Ends every watch; with `forget`, earlier changes are no longer available to watches, as after compaction. */
  endWatches({ forget = false } = {}): void {
    if (forget) this.oldest = ++this.version;
    const ended = [...this.watchers];
    this.watchers.clear();
    for (const { response } of ended) response.end();
  }

  /** Sends a bookmark to every watch. */
  bookmark(): void {
    for (const { plural, response } of this.watchers) {
      const kind = plural === 'secrets' ? 'Secret' : 'ServiceAccount';
      const object = { apiVersion: 'v1', kind, metadata: { resourceVersion: String(this.version) } };
      response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    }
  }

  kubeconfig(namespace: string): string {
    return kubeconfigFor(this, namespace);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private put(plural: string, namespace: string, name: string, object: Omit<Stored, 'apiVersion' | 'metadata'>): void {
    const path = `/api/v1/namespaces/${namespace}/${plural}/${name}`;
    const type = this.objects.has(path) ? 'MODIFIED' : 'ADDED';
    const metadata = { name, namespace, resourceVersion: String(++this.version) };
    const stored = { ...object, apiVersion: 'v1', metadata } as Stored;
    this.objects.set(path, stored);
    this.tell(plural, type, stored);
  }

  private tell(plural: string, type: EventType, object: Stored): void {
    const event = { type, version: this.version, object };
    this.events.push(event);
    for (const watcher of this.watchers) if (watcher.plural === plural) send(watcher, event);
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname: path, search: query, searchParams } = new URL(request.url ?? '/', this.origin);
    this.requests.push({ method: request.method ?? '', path, query });
    const authorized = request.headers.authorization === `Bearer ${this.token}`;
    const refused = authorized ? this.statuses.get(path) : 401;
    const [, namespace] = /^\/api\/v1\/namespaces\/([^/]+)\/pods$/.exec(path) ?? [];
    const [, plural] = /^\/api\/v1\/(secrets|serviceaccounts)$/.exec(path) ?? [];
    const object = this.objects.get(path);
    if (refused === 'hang') return;
    if (refused === 'stall') response.writeHead(200, { 'Content-Type': 'application/json' }).write('{"kind":');
    else if (refused !== undefined) fail(response, refused);
    else if (path === TOKEN_REVIEWS) this.review(request, response);
    else if (namespace !== undefined) this.list(`namespaces/${namespace}/pods`, searchParams, response);
    else if (object !== undefined) reply(response, object);
    else if (plural === undefined) fail(response, 404);
    else if (searchParams.get('watch') === 'true') this.watch(plural, searchParams, response);
    else this.list(plural, searchParams, response);
  }

  private review(request: IncomingMessage, response: ServerResponse): void {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { spec } = JSON.parse(body) as { spec: { token: string; audiences: string[] } };
      this.reviews.push(spec);
      const known = this.tokens.get(spec.token);
      const authenticated = known !== undefined && spec.audiences.includes(known.audience);
      const status = authenticated
        ? { authenticated, audiences: [known.audience], user: { username: known.user } }
        : { authenticated, error: 'invalid bearer token' };
      reply(response, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec, status });
    });
  }

  private list(plural: string, query: URLSearchParams, response: ServerResponse): void {
    const all = [...this.objects].flatMap(([path, object]) => (path.includes(`/${plural}/`) ? [object] : []));
    const selected = all.filter((object) => isSelected(object, query));
    const from = Number(query.get('continue') ?? 0);
    const to = from + Number(query.get('limit') ?? selected.length);
    const more = to < selected.length && { continue: String(to) };
    const metadata = { resourceVersion: String(this.version), ...more };
    reply(response, { apiVersion: 'v1', kind: 'List', metadata, items: selected.slice(from, to) });
  }

  private watch(plural: string, query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get('resourceVersion') ?? 0);
    if (from < this.oldest) {
      fail(response, 410);
      return;
    }
    response.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders();
    const watcher = { plural, query, response };
    this.watchers.add(watcher);
    response.on('close', () => this.watchers.delete(watcher));
    const kind = plural === 'secrets' ? 'Secret' : 'ServiceAccount';
    for (const event of this.events) if (event.version > from && event.object.kind === kind) send(watcher, event);
  }
}

function send({ query, response }: Watcher, { type, object }: Event): void {
  if (isSelected(object, query)) response.write(`${JSON.stringify({ type, object })}\n`);
}

/** `fieldSelector=type=…` is the only supported one. */
function isSelected(object: Stored, query: URLSearchParams): boolean {
  const selector = query.get('fieldSelector');
  return selector === null || selector === `type=${object.type ?? ''}`;
}

function reply(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

function fail(response: ServerResponse, code: number): void {
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: 'refused' };
  response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
