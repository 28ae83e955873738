import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { FakeAuth, type FakeAuthOptions, type TokenIssuer } from './registry-auth.js';
import { bytesContent, type Content } from './registry-content.js';
import { FaultList, replaceAnswer, sendAnswer, type FaultAction, type FaultRule } from './registry-faults.js';
import { failure, neededAccess, RegistryRoutes, type Answer, type RouteOptions } from './registry-routes.js';
import { RegistryStore, type StoredManifest } from './registry-store.js';

export type { FakeAuthOptions } from './registry-auth.js';
export type { FaultAction, FaultRule } from './registry-faults.js';

export interface FakeRegistryOptions {
  /** If absent, anyone may do anything. */
  readonly auth?: FakeAuthOptions;
  /** With `auth`: reading does not need credentials, although `bearer` still requires a token. */
  readonly anonymousPull?: boolean;
  /** Key and certificate, PEM. If absent, the registry uses plain HTTP. */
  readonly tls?: {
    readonly key: string;
    readonly cert: string;
    /** The CA certificate of client certificates, if they are required. */
    readonly clientCa?: string;
  };
  /** If absent, any free port. */
  readonly port?: number;
  readonly address?: string;
  /** Whether the registry has the referrers API. Without it, clients use the `sha256-<hex>` tag. */
  readonly referrers?: boolean;
  /** Whether a mount may get a 201. */
  readonly mounts?: boolean;
  /** False: a repository must exist before it is pushed to, as in ECR. */
  readonly createOnPush?: boolean;
  readonly immutableTags?: boolean;
  /** False: a manifest is accepted although its content is missing. */
  readonly checkChildren?: boolean;
  /** False: pushed blobs are hashed and discarded. */
  readonly keepBlobs?: boolean;
  readonly relativeLocations?: boolean;
  /** As in Gitea: a tag in any case refers to the same image. */
  readonly foldTags?: boolean;
  /** As in Harbor: the platforms of a deleted index are deleted, unless they have a tag or another index. */
  readonly deletesPlatforms?: boolean;
  /** Referrers per page of the list. If absent, one page has all of them. */
  readonly referrersPage?: number;
  /** Sends `rel=next` without quotes, as olareg does. */
  readonly bareLinks?: boolean;
  /** Whether a POST may have `?digest=` and the body in one request. distribution ignores both. */
  readonly monolithicPost?: boolean;
}

/** One request, in the order of arrival. `status` is 0 until the response. */
export interface AccessLogEntry {
  /** Time of arrival, milliseconds since the epoch. */
  readonly time: number;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly status: number;
  readonly authorization: 'basic' | 'bearer' | undefined;
  readonly user?: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Numbers the TCP connections, from 1. */
  readonly connection: number;
  readonly headers: IncomingMessage['headers'];
}

type OpenEntry = { -readonly [K in keyof AccessLogEntry]: AccessLogEntry[K] };

/** A complete OCI registry in memory on loopback, with an access log and faults on demand. */
export class FakeRegistry {
  readonly host: string;
  readonly origin: string;
  readonly accessLog: AccessLogEntry[] = [];
  readonly #server: Server;
  readonly #store: RegistryStore;
  readonly #routes: RegistryRoutes;
  readonly #faults: FaultList;

  private constructor(parts: {
    server: Server;
    origin: string;
    store: RegistryStore;
    routes: RegistryRoutes;
    faults: FaultList;
    auth: FakeAuth | undefined;
  }) {
    this.#server = parts.server;
    this.origin = parts.origin;
    this.host = new URL(parts.origin).host;
    this.#store = parts.store;
    this.#routes = parts.routes;
    this.#faults = parts.faults;
    this.#auth = parts.auth;
  }

  readonly #auth: FakeAuth | undefined;

  /** Throws the error of `listen`, such as EADDRINUSE for a port in use. */
  static async start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const routeOptions: RouteOptions = {
      referrers: options.referrers ?? true,
      mounts: options.mounts ?? true,
      createOnPush: options.createOnPush ?? true,
      immutableTags: options.immutableTags ?? false,
      checkChildren: options.checkChildren ?? true,
      keepBlobs: options.keepBlobs ?? true,
      relativeLocations: options.relativeLocations ?? false,
      monolithicPost: options.monolithicPost ?? false,
      ...(options.referrersPage !== undefined && { referrersPage: options.referrersPage }),
      bareLinks: options.bareLinks ?? false,
    };
    const store = new RegistryStore(options);
    const routes = new RegistryRoutes(store, routeOptions);
    const faults = new FaultList();
    const auth = options.auth && new FakeAuth(options.auth, options.anonymousPull ?? false);
    const tuning = { highWaterMark: 256 * 1024, requestTimeout: 0, keepAliveTimeout: 60_000 };
    const server: Server =
      options.tls === undefined
        ? createHttpServer(tuning)
        : createHttpsServer({ ...tuning, ...options.tls, ...requiring(options.tls.clientCa) });
    const address = options.address ?? '127.0.0.1';
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, address, () => {
        server.off('error', reject);
        resolve();
      });
    });
    const { port } = server.address() as AddressInfo;
    const scheme = options.tls === undefined ? 'http' : 'https';
    const authority = address.includes(':') ? `[${address}]` : address;
    const registry = new FakeRegistry({
      server,
      origin: `${scheme}://${authority}:${port}`,
      store,
      routes,
      faults,
      auth,
    });
    registry.#serve();
    return registry;
  }

  get issuer(): TokenIssuer | undefined {
    return this.#auth?.issuer;
  }

  /** Number of uploads that have begun and are neither finished nor canceled. */
  get openUploads(): number {
    return this.#routes.openUploads;
  }

  createRepository(repository: string): void {
    this.#store.create(repository);
  }

  /** Returns the digest. */
  putBlob(repository: string, bytes: Uint8Array | Content): string {
    const content = bytes instanceof Uint8Array ? bytesContent(bytes) : bytes;
    this.#store.putBlob(repository, content);
    return content.digest;
  }

  /** `reference` is a tag or the digest. Children need not exist. Returns the digest. */
  putManifest(repository: string, reference: string, mediaType: string, bytes: Uint8Array): string {
    this.#store.create(repository);
    const rules = { immutableTags: false, checkChildren: false };
    const result = this.#store.putManifest(repository, reference, mediaType, Buffer.from(bytes), rules);
    if (!result.ok) throw new Error(`the fake registry refuses ${repository}:${reference}: ${result.message}`);
    return result.digest;
  }

  /** Serves `bytes` under a digest that need not match. */
  putManifestWithDigest(
    repository: string,
    reference: string,
    mediaType: string,
    bytes: Uint8Array,
    digest: string,
  ): void {
    this.#store.putManifestUnchecked(repository, reference, mediaType, Buffer.from(bytes), digest);
  }

  repositories(): string[] {
    return this.#store.repositories();
  }

  tags(repository: string): string[] {
    return this.#store.tags(repository);
  }

  /** Returns the digests of all manifests. */
  digests(repository: string): string[] {
    return this.#store.digests(repository);
  }

  manifest(repository: string, reference: string): StoredManifest | undefined {
    return this.#store.manifest(repository, reference);
  }

  deleteManifest(repository: string, reference: string): boolean {
    return this.#store.deleteManifest(repository, reference);
  }

  deleteBlob(repository: string, digest: string): boolean {
    return this.#store.deleteBlob(repository, digest);
  }

  /** Returns a blob's content, from one repository or from any. */
  blob(digest: string, repository?: string): Content | undefined {
    return repository === undefined ? this.#store.anyBlob(digest) : this.#store.blob(repository, digest);
  }

  /** The first rule that matches a request, after authorization, changes the response. */
  fault(rule: FaultRule): void {
    this.#faults.add(rule);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** Returns the log as `METHOD path` lines, in order. */
  requests(filter?: (entry: AccessLogEntry) => boolean): string[] {
    return this.accessLog.filter(filter ?? (() => true)).map((entry) => `${entry.method} ${entry.path}`);
  }

  /** Cuts open connections; safe to call twice. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(): void {
    const connections = new WeakMap<object, number>();
    let connectionCount = 0;
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const url = new URL(request.url ?? '/', this.origin);
      let connection = connections.get(request.socket);
      if (connection === undefined) connections.set(request.socket, (connection = ++connectionCount));
      const scheme = request.headers.authorization?.split(' ')[0]?.toLowerCase();
      const entry: OpenEntry = {
        time: Date.now(),
        method: request.method ?? '',
        path: decodeURIComponent(url.pathname),
        query: url.search.slice(1),
        status: 0,
        authorization: scheme === 'basic' || scheme === 'bearer' ? scheme : undefined,
        bytesIn: 0,
        bytesOut: 0,
        connection,
        headers: request.headers,
      };
      this.accessLog.push(entry);
      // Many tests disconnect a client during a request, so the error is not reported.
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      const { socket } = request;
      this.#answer(request, response, url, entry).catch(() => socket.destroy());
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse, url: URL, entry: OpenEntry): Promise<void> {
    // A request whose connection was cut no longer has a socket.
    const { socket } = request;
    const before = socket.bytesWritten;
    response.on('finish', () => (entry.status = response.statusCode));
    response.on('close', () => {
      entry.status = response.headersSent ? response.statusCode : entry.status;
      entry.bytesOut = socket.bytesWritten - before;
    });
    const { method, path } = entry;
    if (this.#auth !== undefined && path.startsWith('/v2')) {
      const verdict = this.#auth.check(request, this.origin, neededAccess(method, path, url.searchParams));
      if (!verdict.ok) {
        request.resume();
        const challenge = verdict.challenge === undefined ? {} : { 'www-authenticate': verdict.challenge };
        await this.#send(response, failure(verdict.status, verdict.code, undefined, challenge), method, undefined);
        return;
      }
      if (verdict.user !== undefined) entry.user = verdict.user;
    }
    const fault = this.#faults.take(method, path, entry.query);
    if (await replaceAnswer(fault, request, response)) return;
    if (this.#auth !== undefined && path === '/token') {
      const form = method === 'POST' ? new URLSearchParams(await text(request)) : undefined;
      const { status, body } = this.#auth.token(request, url.searchParams, form);
      const content = bytesContent(Buffer.from(JSON.stringify(body)));
      await this.#send(response, { status, headers: { 'content-type': 'application/json' }, content }, method, fault);
      return;
    }
    const countBytesIn = (bytes: number): void => {
      entry.bytesIn += bytes;
    };
    const { searchParams: query } = url;
    const answer = await this.#routes.handle({
      method,
      path,
      query,
      request,
      origin: this.origin,
      fault,
      countBytesIn,
    });
    request.resume();
    await this.#send(response, answer, method, fault);
  }

  async #send(response: ServerResponse, answer: Answer, method: string, fault: FaultAction | undefined): Promise<void> {
    await sendAnswer(response, {
      status: answer.status,
      headers: { 'docker-distribution-api-version': 'registry/2.0', ...answer.headers },
      ...(answer.content && { content: answer.content }),
      ...(answer.range && { range: answer.range }),
      headOnly: method === 'HEAD',
      fault,
    });
  }
}

function requiring(ca: string | undefined): object {
  return ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
}

async function text(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
