import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { bytesContent, ContentSink, type Content } from './registry-content.js';
import type { Needed } from './registry-auth.js';
import type { FaultAction } from './registry-faults.js';
import type { RegistryStore } from './registry-store.js';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly content?: Content;
  readonly range?: { readonly start: number; readonly end: number };
}

export interface RouteOptions {
  readonly referrers: boolean;
  readonly mounts: boolean;
  readonly createOnPush: boolean;
  readonly immutableTags: boolean;
  readonly checkChildren: boolean;
  readonly keepBlobs: boolean;
  readonly relativeLocations: boolean;
  readonly monolithicPost: boolean;
  readonly referrersPage?: number;
  readonly bareLinks: boolean;
}

export interface RouteRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly origin: string;
  readonly fault: FaultAction | undefined;
  readonly countBytesIn: (bytes: number) => void;
}

interface Route {
  readonly kind: 'base' | 'catalog' | 'manifest' | 'blob' | 'uploads' | 'upload' | 'referrers' | 'tags' | 'unknown';
  readonly repository: string;
  readonly argument: string;
}

export function parseRoute(path: string): Route {
  if (/^\/v2\/?$/.test(path)) return { kind: 'base', repository: '', argument: '' };
  if (path === '/v2/_catalog') return { kind: 'catalog', repository: '', argument: '' };
  const match = /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs|referrers|tags)\/([^/]*)$/.exec(path);
  if (match === null) return { kind: 'unknown', repository: '', argument: '' };
  const [, repository = '', noun, argument = ''] = match;
  switch (noun) {
    case 'manifests':
      return { kind: 'manifest', repository, argument };
    case 'blobs/uploads':
      return { kind: argument === '' ? 'uploads' : 'upload', repository, argument };
    case 'blobs':
      return { kind: 'blob', repository, argument };
    case 'referrers':
      return { kind: 'referrers', repository, argument };
    default:
      return { kind: 'tags', repository, argument };
  }
}

/** The scopes that a request needs: pull to read, push to write, and for a mount pull on the other repository. */
export function neededAccess(method: string, path: string, query: URLSearchParams): Needed {
  const route = parseRoute(path);
  if (route.repository === '') return [];
  const action = method === 'GET' || method === 'HEAD' ? 'pull' : method === 'DELETE' ? 'delete' : 'push';
  const uploading = route.kind === 'upload' || route.kind === 'uploads';
  const own = { repository: route.repository, action: uploading ? 'push' : action } as const;
  const from = query.get('from');
  return from === null || route.kind !== 'uploads' ? [own] : [own, { repository: from, action: 'pull' }];
}

/** The distribution API over a store. */
export class RegistryRoutes {
  readonly #store: RegistryStore;
  readonly #options: RouteOptions;
  readonly #sessions = new Map<string, { readonly repository: string; readonly sink: ContentSink }>();

  constructor(store: RegistryStore, options: RouteOptions) {
    this.#store = store;
    this.#options = options;
  }

  get openUploads(): number {
    return this.#sessions.size;
  }

  async handle(request: RouteRequest): Promise<Answer> {
    const route = parseRoute(request.path);
    const read = request.method === 'GET' || request.method === 'HEAD';
    switch (route.kind) {
      case 'base':
        return json(200, {});
      case 'catalog':
        return json(200, { repositories: this.#store.repositories() });
      case 'manifest':
        return read ? this.#getManifest(route) : this.#changeManifest(route, request);
      case 'blob':
        if (request.method === 'DELETE') {
          const deleted = this.#store.deleteBlob(route.repository, route.argument);
          return deleted ? { status: 202 } : failure(404, 'BLOB_UNKNOWN');
        }
        return read ? this.#getBlob(route, request.request) : failure(405, 'UNSUPPORTED');
      case 'uploads':
        return request.method === 'POST' ? this.#startUpload(route, request) : failure(405, 'UNSUPPORTED');
      case 'upload':
        return this.#upload(route, request);
      case 'referrers':
        return this.#referrers(route, request.query);
      case 'tags':
        return this.#listTags(route, request.query);
      case 'unknown':
        return { status: 404, content: bytesContent(Buffer.from('404 page not found\n')) };
    }
  }

  #getManifest(route: Route): Answer {
    const found = this.#store.manifest(route.repository, route.argument);
    if (found === undefined) {
      return failure(404, this.#store.has(route.repository) ? 'MANIFEST_UNKNOWN' : 'NAME_UNKNOWN');
    }
    const headers = { 'content-type': found.mediaType, 'docker-content-digest': found.digest };
    return { status: 200, headers, content: bytesContent(found.bytes) };
  }

  async #changeManifest(route: Route, request: RouteRequest): Promise<Answer> {
    if (request.method === 'DELETE') {
      return this.#store.deleteManifest(route.repository, route.argument)
        ? { status: 202 }
        : failure(404, 'MANIFEST_UNKNOWN');
    }
    if (request.method !== 'PUT') return failure(405, 'UNSUPPORTED');
    const sink = new ContentSink(true);
    await receive(request, sink);
    if (!this.#store.has(route.repository) && !this.#options.createOnPush) return failure(404, 'NAME_UNKNOWN');
    this.#store.create(route.repository);
    const content = sink.finish();
    const bytes = Buffer.concat([...content.chunks(0, content.size)]);
    const mediaType = request.request.headers['content-type'] ?? '';
    const result = this.#store.putManifest(route.repository, route.argument, mediaType, bytes, this.#options);
    if (!result.ok) return failure(result.status, result.code, result.message);
    const subject = result.subject !== undefined && this.#options.referrers ? { 'oci-subject': result.subject } : {};
    const location = this.#location(request, `/v2/${route.repository}/manifests/${result.digest}`);
    return { status: 201, headers: { location, 'docker-content-digest': result.digest, ...subject } };
  }

  #getBlob(route: Route, request: IncomingMessage): Answer {
    const content = this.#store.blob(route.repository, route.argument);
    if (content === undefined) return failure(404, 'BLOB_UNKNOWN');
    const headers = {
      'content-type': 'application/octet-stream',
      'docker-content-digest': content.digest,
      'accept-ranges': 'bytes',
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (range === null) return { status: 200, headers, content };
    const start = Number(range[1]);
    const end = range[2] === '' ? content.size : Math.min(Number(range[2]) + 1, content.size);
    if (start >= end) return { status: 416, headers: { 'content-range': `bytes */${content.size}` } };
    const partial = { ...headers, 'content-range': `bytes ${start}-${end - 1}/${content.size}` };
    return { status: 206, headers: partial, content, range: { start, end } };
  }

  async #startUpload(route: Route, request: RouteRequest): Promise<Answer> {
    const { repository } = route;
    if (!this.#store.has(repository) && !this.#options.createOnPush) return failure(404, 'NAME_UNKNOWN');
    this.#store.create(repository);
    const mount = request.query.get('mount');
    const from = request.query.get('from');
    if (mount !== null && this.#options.mounts) {
      const content = from === null ? this.#store.anyBlob(mount) : this.#store.blob(from, mount);
      if (content !== undefined) {
        this.#store.putBlob(repository, content);
        return this.#created(repository, mount, request);
      }
    }
    const sink = new ContentSink(this.#options.keepBlobs);
    const digest = request.query.get('digest');
    if (digest !== null && this.#options.monolithicPost) {
      await receive(request, sink);
      return this.#finish(repository, sink, digest, request);
    }
    const id = randomUUID();
    this.#sessions.set(id, { repository, sink });
    return this.#accepted(repository, id, sink, request);
  }

  async #upload(route: Route, request: RouteRequest): Promise<Answer> {
    const session = this.#sessions.get(route.argument);
    if (session?.repository !== route.repository) return failure(404, 'BLOB_UPLOAD_UNKNOWN');
    const { sink } = session;
    switch (request.method) {
      case 'GET':
        return { ...this.#accepted(route.repository, route.argument, sink, request), status: 204 };
      case 'DELETE':
        this.#sessions.delete(route.argument);
        return { status: 204 };
      case 'PATCH': {
        const range = /^(\d+)-(\d+)$/.exec(request.request.headers['content-range'] ?? '');
        if (range !== null && Number(range[1]) !== sink.size) {
          return { ...this.#accepted(route.repository, route.argument, sink, request), status: 416 };
        }
        await receive(request, sink);
        return this.#accepted(route.repository, route.argument, sink, request);
      }
      case 'PUT': {
        if (request.query.get('_state') === null)
          return failure(400, 'BLOB_UPLOAD_INVALID', 'the query of Location was lost');
        await receive(request, sink);
        this.#sessions.delete(route.argument);
        return this.#finish(route.repository, sink, request.query.get('digest') ?? '', request);
      }
      default:
        return failure(405, 'UNSUPPORTED');
    }
  }

  #finish(repository: string, sink: ContentSink, digest: string, request: RouteRequest): Answer {
    const content = sink.finish();
    if (digest.startsWith('sha512:')) return this.#finishBySha512(repository, content, digest, request);
    if (content.digest !== digest) return failure(400, 'DIGEST_INVALID', `the content is ${content.digest}`);
    this.#store.putBlob(repository, content);
    return this.#created(repository, digest, request);
  }

  /** As in distribution, the manifest can be read by this digest, and the response contains the canonical digest. */
  #finishBySha512(repository: string, content: Content, digest: string, request: RouteRequest): Answer {
    const hash = createHash('sha512');
    for (const piece of content.chunks(0, content.size)) hash.update(piece);
    const found = `sha512:${hash.digest('hex')}`;
    if (found !== digest) return failure(400, 'DIGEST_INVALID', `the content is ${found}`);
    this.#store.putBlob(repository, { ...content, digest });
    const answer = this.#created(repository, digest, request);
    return { ...answer, headers: { ...answer.headers, 'docker-content-digest': content.digest } };
  }

  #created(repository: string, digest: string, request: RouteRequest): Answer {
    const location = this.#location(request, `/v2/${repository}/blobs/${digest}`);
    return { status: 201, headers: { location, 'docker-content-digest': digest } };
  }

  #accepted(repository: string, id: string, sink: ContentSink, request: RouteRequest): Answer {
    const location = this.#location(request, `/v2/${repository}/blobs/uploads/${id}?_state=opaque%3D%2F`);
    const range = `0-${Math.max(sink.size - 1, 0)}`;
    return { status: 202, headers: { location, range, 'docker-upload-uuid': id } };
  }

  #referrers(route: Route, query: URLSearchParams): Answer {
    if (!this.#options.referrers) return { status: 404, content: bytesContent(Buffer.from('404 page not found\n')) };
    const type = query.get('artifactType');
    const all = this.#store.referrers(route.repository, route.argument) as { readonly artifactType?: string }[];
    const found = type === null ? all : all.filter((descriptor) => descriptor.artifactType === type);
    const start = Number(query.get('after') ?? '0');
    const end = start + (this.#options.referrersPage ?? found.length);
    const manifests = found.slice(start, end);
    const rel = this.#options.bareLinks ? 'rel=next' : 'rel="next"';
    const next = `</v2/${route.repository}/referrers/${route.argument}?after=${end}>; ${rel}`;
    const link: Record<string, string> = end < found.length ? { link: next } : {};
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const filtered: Record<string, string> = type === null ? {} : { 'oci-filters-applied': 'artifactType' };
    return json(200, { schemaVersion: 2, mediaType, manifests }, { 'content-type': mediaType, ...filtered, ...link });
  }

  #listTags(route: Route, query: URLSearchParams): Answer {
    if (!this.#store.has(route.repository)) return failure(404, 'NAME_UNKNOWN');
    const last = query.get('last');
    const all = this.#store.tags(route.repository).filter((tag) => last === null || tag > last);
    const limit = query.get('n') === null ? all.length : Number(query.get('n'));
    const tags = all.slice(0, limit);
    const next = `</v2/${route.repository}/tags/list?n=${limit}&last=${tags.at(-1) ?? ''}>; rel="next"`;
    const link: Record<string, string> = tags.length < all.length ? { link: next } : {};
    return json(200, { name: route.repository, tags }, link);
  }

  #location(request: RouteRequest, path: string): string {
    return this.#options.relativeLocations ? path : `${request.origin}${path}`;
  }
}

async function receive(request: RouteRequest, sink: ContentSink): Promise<void> {
  const slow = request.fault?.type === 'slow' ? request.fault.bytesPerSecond : undefined;
  let received = 0;
  for await (const piece of request.request as AsyncIterable<Buffer>) {
    const left = request.fault?.type === 'cut-body' ? request.fault.after - received : Infinity;
    const kept = piece.subarray(0, left);
    received += kept.length;
    request.countBytesIn(kept.length);
    sink.write(kept);
    if (kept.length < piece.length) {
      request.request.socket.resetAndDestroy();
      throw new Error('cut');
    }
    if (slow !== undefined) await delay((piece.length / slow) * 1000);
  }
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  const content = bytesContent(Buffer.from(JSON.stringify(body)));
  return { status, headers: { 'content-type': 'application/json', ...headers }, content };
}

export function failure(status: number, code: string, message = code.toLowerCase(), headers = {}): Answer {
  return json(status, { errors: [{ code, message }] }, headers);
}
