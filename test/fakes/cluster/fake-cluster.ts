import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { sharedCertificates } from '../certificates.js';
import { AppliedObjects } from './applied-objects.js';
import { Collection } from './collection.js';
import type { FakeEvent, FakeObject } from './collection.js';
import { ClusterFaults } from './faults.js';
import type { ClusterFaultRule } from './faults.js';
import { FakeLeases } from './leases.js';

/** One request, in the order of arrival. */
export interface ClusterRequest {
  readonly verb: 'list' | 'watch' | 'lease' | 'other';
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

interface OpenWatch {
  readonly path: string;
  readonly response: ServerResponse;
  silent: boolean;
  readonly close: () => void;
}

const TOKEN = 'fake-token';

/** The part of an Event that tests look at. */
export interface CreatedEvent {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly namespace: string; readonly name: string };
}

/**
 * An API server on loopback for load, and for faults that a real API server cannot produce. It has paged lists,
 * watches, bookmarks on request, and Leases. It uses TLS and requires a bearer token.
 */
export class FakeCluster {
  readonly requests: ClusterRequest[] = [];
  /** Created Events, in order. */
  readonly events: CreatedEvent[] = [];
  /** Applied objects below the paths that the test has named. */
  readonly applied = new AppliedObjects();
  private readonly collections = new Map<string, Collection>();
  private readonly watches = new Set<OpenWatch>();
  private readonly faults = new ClusterFaults();
  private readonly leases = new FakeLeases();
  private readonly objects = new Map<string, object>();
  private version = 1_000;

  private constructor(
    private readonly server: Server,
    private readonly port: number,
    private readonly ca: string,
  ) {}

  static async start(): Promise<FakeCluster> {
    const { ca, cert, key } = await sharedCertificates(['127.0.0.1']);
    const server = createServer({ cert, key });
    await listen(server, 0);
    const cluster = new FakeCluster(server, (server.address() as AddressInfo).port, ca);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      cluster.answer(request, response).catch(() => request.socket.destroy());
    });
    return cluster;
  }

  /** Returns the objects of a path such as `/api/v1/pods`. */
  collection(path: string): Collection {
    let collection = this.collections.get(path);
    if (collection === undefined) {
      collection = new Collection(() => (this.version += 1));
      this.collections.set(path, collection);
    }
    return collection;
  }

  /** Sets an object that clients read by its own path. */
  putObject(path: string, object: object): void {
    this.objects.set(path, object);
  }

  fault(rule: ClusterFaultRule): void {
    this.faults.add(rule);
  }

  clearFaults(): void {
    this.faults.clear();
  }

  openWatches(path: string): number {
    return [...this.watches].filter((watch) => watch.path === path && !watch.silent).length;
  }

  count(verb: ClusterRequest['verb'], path?: string): number {
    return this.requests.filter((request) => request.verb === verb && (path ?? request.path) === request.path).length;
  }

  /** Sends a bookmark to the watches of a path. */
  bookmark(path: string): void {
    const object = { kind: 'Bookmark', metadata: { resourceVersion: String(this.version) } };
    this.send(path, { type: 'BOOKMARK', object });
  }

  /** Sends a line to the watches of a path. The line need not be JSON. */
  sendRaw(path: string, line: string): void {
    for (const watch of this.watches) if (watch.path === path && !watch.silent) watch.response.write(`${line}\n`);
  }

  /** Keeps the watches of a path open without sending anything more, as when the other end has vanished. */
  stopSending(path: string): void {
    for (const watch of this.watches) if (watch.path === path) watch.silent = true;
  }

  cutWatches(path?: string): void {
    for (const watch of this.watches) {
      if (path !== undefined && path !== watch.path) continue;
      watch.close();
      watch.response.destroy();
    }
  }

  /** Ends watches as a server does after their `timeoutSeconds`. The next watch receives later changes. */
  endWatches(path: string): void {
    for (const watch of this.watches) {
      if (watch.path !== path) continue;
      watch.close();
      watch.response.end();
    }
  }

  /** Discards all past changes. */
  compact(): void {
    this.version += 1;
    for (const collection of this.collections.values()) collection.compact(this.version);
  }

  holderOf(lease: string): string | undefined {
    return this.leases.holderOf(lease);
  }

  /** Refuses new connections and cuts open connections. */
  async disconnect(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  async reconnect(): Promise<void> {
    await listen(this.server, this.port);
  }

  kubeconfig(namespace = 'image-swapper'): string {
    const name = 'fake';
    const cluster = {
      server: `https://127.0.0.1:${this.port}`,
      'certificate-authority-data': Buffer.from(this.ca).toString('base64'),
    };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster }],
      users: [{ name, user: { token: TOKEN } }],
      contexts: [{ name, context: { cluster: name, user: name, namespace } }],
      'current-context': name,
    });
  }

  async close(): Promise<void> {
    if (this.server.listening) await this.disconnect();
  }

  private send(path: string, event: object): void {
    this.sendRaw(path, JSON.stringify(event));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', 'https://127.0.0.1');
    const query = Object.fromEntries(searchParams);
    const known = this.collections.has(path) || LISTS.test(path);
    const lease = path.startsWith('/apis/coordination.k8s.io/');
    const verb = lease ? 'lease' : !known ? 'other' : query['watch'] === 'true' ? 'watch' : 'list';
    this.requests.push({ verb, method: request.method ?? '', path, query });
    const text = await bodyOf(request);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return status(response, 401);
    const fault = this.faults.take(verb, path);
    if (fault?.type === 'status') return status(response, fault.code, fault.headers);
    if (fault?.type === 'hang') return;
    if (fault?.type === 'cut' && fault.after === undefined) return void request.socket.destroy();
    if (fault?.type === 'slow') await delay(fault.milliseconds);
    if (fault?.type === 'text') return void response.end(fault.text);
    if (lease) return this.leases.answer(request.method ?? '', path, text, response);
    if (this.applied.answer(request.method ?? '', path, text, response)) return;
    const object = this.objects.get(path);
    if (object !== undefined) {
      return void response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(object));
    }
    if (request.method === 'POST' && EVENTS.test(path)) {
      const event = JSON.parse(text) as CreatedEvent;
      this.events.push(event);
      return void response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify(event));
    }
    if (verb === 'other') return status(response, 404);
    if (verb === 'list') {
      const list = this.list(path, query);
      const body = typeof list === 'number' ? undefined : JSON.stringify(list);
      if (body === undefined) return status(response, 410);
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
      if (fault?.type !== 'cut') return void response.end(body);
      response.write(body.slice(0, fault.after));
      await delay(20);
      return void request.socket.destroy();
    }
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    if (fault?.type === 'end') return void response.end();
    if (fault?.type === 'error-event') return error(response, fault.code);
    this.watch(path, Number(query['resourceVersion'] ?? '0'), response);
  }

  private list(path: string, query: Readonly<Record<string, string>>): object | 410 {
    const collection = this.collection(path);
    const limit = Number(query['limit'] ?? '0') || Infinity;
    const [version = this.version, start = 0] = (query['continue'] ?? '').split('/').filter(Boolean).map(Number);
    if (query['continue'] !== undefined && collection.since(version) === undefined) return 410;
    const items = collection.page(start, limit);
    const next = start + items.length < collection.size ? `${version}/${start + items.length}` : undefined;
    return { kind: 'List', metadata: { resourceVersion: String(version), ...(next && { continue: next }) }, items };
  }

  private watch(path: string, version: number, response: ServerResponse): void {
    const collection = this.collection(path);
    const missedEvents = collection.since(version);
    if (missedEvents === undefined) return error(response, 410);
    const send = ({ type, object }: Pick<FakeEvent, 'type' | 'object'>): void => {
      if (!watch.silent) response.write(`${JSON.stringify({ type, object })}\n`);
    };
    const close = (): void => {
      collection.listeners.delete(send);
      this.watches.delete(watch);
    };
    const watch: OpenWatch = { path, response, silent: false, close };
    this.watches.add(watch);
    for (const event of missedEvents) send(event);
    collection.listeners.add(send);
    response.on('close', close);
  }
}

const EVENTS = /^\/api\/v1\/namespaces\/[^/]+\/events$/;
const LISTS = /^\/(?:api\/v1\/pods|apis\/(?:apps|batch)\/v1\/[a-z]+)$/;

export type { FakeObject };

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function status(response: ServerResponse, code: number, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(code, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(statusOf(code)));
}

function error(response: ServerResponse, code: number): void {
  response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(code) })}\n`);
}

function statusOf(code: number): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: `injected ${code}` };
}
