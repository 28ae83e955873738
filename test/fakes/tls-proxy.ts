import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { makeCertificates } from './certificates.js';
import { forward } from './http-forward.js';

/** A request as a hook sees it before the proxy passes it on. */
export interface HookRequest {
  readonly host: string;
  readonly method: string;
  /** The decoded path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** Reads the whole body into memory. The proxy still passes it on. */
  body(): Promise<Buffer>;
}

export type HookResult =
  /** The request is passed on unchanged. */
  | undefined
  /** The proxy responds instead of the backend. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** The request gets no response, or its connection is cut. */
  | { readonly fault: 'hang' | 'reset' }
  /**
   * The request is passed on, optionally with another path and query. `answered` receives the backend's status before
   * the client does.
   */
  | { readonly forward: { readonly path?: string; readonly answered?: (status: number) => void } };

export type Hook = (request: HookRequest) => HookResult | Promise<HookResult>;

/** One request, in the order of arrival. `status` is 0 until the response. */
export interface ProxiedRequest {
  readonly time: number;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** The scheme of the `Authorization` header, in lower case. The credentials themselves are not kept. */
  readonly authorization: string | undefined;
  readonly status: number;
}

type OpenEntry = { -readonly [K in keyof ProxiedRequest]: ProxiedRequest[K] };

export interface ProxiedConnect {
  readonly host: string;
  readonly outcome: 'opened' | 'unknown host' | 'wrong credentials' | 'black hole';
}

/**
 * The point at which a black hole drops traffic: the CONNECT, the TLS handshake, or the request inside the tunnel. Only
 * `request` affects open connections.
 */
export type BlackHole = 'connect' | 'handshake' | 'request';

export interface TlsProxyOptions {
  /**
   * Backends by host name: `{ 'europe-docker.pkg.dev': registry.origin }`; undefined when the host's hook responds to
   * everything. Clients reach `https://HOST` by CONNECT to port 443, and `http://HOST` by requesting the whole URL from
   * the proxy.
   */
  readonly hosts: Readonly<Record<string, string | undefined>>;
  /** `user:password` that clients must send to the proxy. */
  readonly credentials?: string;
}

/**
 * A forward proxy on loopback that simulates the named hosts. It terminates the TLS of CONNECT tunnels with a
 * certificate of its own CA, and passes the requests to plain-HTTP backends. It never connects to anything else.
 *
 * ```ts
 * const proxy = await TlsProxy.start({ hosts: { 'registry.example.com': registry.origin } });
 * proxy.setHook('registry.example.com', ({ method }) => (method === 'PUT' ? { status: 500 } : undefined));
 * const service = await RunningService.start({ config, env: proxy.env });
 * ```
 */
export class TlsProxy {
  readonly log: ProxiedRequest[] = [];
  readonly connects: ProxiedConnect[] = [];
  readonly #hooks = new Map<string, Hook>();
  readonly #blackHoles = new Map<string, BlackHole>();
  readonly #backends: Map<string, string | undefined>;
  readonly #sockets = new Set<Duplex>();
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(
    private readonly server: Server,
    private readonly secured: ReadonlyMap<string, Server>,
    private readonly folder: string,
    /** `http://127.0.0.1:PORT`, with the credentials if the proxy requires them. */
    readonly url: string,
    /** The CA certificate, PEM. */
    readonly ca: string,
    private readonly options: TlsProxyOptions,
  ) {
    this.#backends = new Map(Object.entries(options.hosts));
  }

  static async start(options: TlsProxyOptions): Promise<TlsProxy> {
    const hosts = Object.keys(options.hosts);
    const { ca, cert, key } = await makeCertificates({ hosts });
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-proxy-'));
    await writeFile(join(folder, 'ca.crt'), ca);
    const server = createServer({ requestTimeout: 0 });
    const secured = new Map(hosts.map((host) => [host, createHttpsServer({ cert, key, requestTimeout: 0 })]));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const user = options.credentials === undefined ? '' : `${options.credentials}@`;
    const proxy = new TlsProxy(server, secured, folder, `http://${user}127.0.0.1:${port}`, ca, options);
    proxy.#serve();
    return proxy;
  }

  get caFile(): string {
    return join(this.folder, 'ca.crt');
  }

  /** Variables that make a Node program use the proxy and trust its CA. */
  get env(): Readonly<Record<'HTTPS_PROXY' | 'NODE_EXTRA_CA_CERTS', string>> {
    return { HTTPS_PROXY: this.url, NODE_EXTRA_CA_CERTS: this.caFile };
  }

  /** Switches a host that was named at the start to another backend. */
  setBackend(host: string, origin: string): void {
    this.#known(host);
    this.#backends.set(host, origin);
  }

  /** Sets the hook that sees each later request to the host. A host has at most one hook; undefined removes it. */
  setHook(host: string, hook: Hook | undefined): void {
    this.#known(host);
    if (hook === undefined) this.#hooks.delete(host);
    else this.#hooks.set(host, hook);
  }

  /**
   * Drops the traffic of a host. Undefined ends the black hole for new connections and requests; dropped ones stay
   * dropped.
   */
  setBlackHole(host: string, at: BlackHole | undefined): void {
    this.#known(host);
    if (at === undefined) this.#blackHoles.delete(host);
    else this.#blackHoles.set(host, at);
  }

  /** Returns the log as `METHOD path` lines. */
  requests(filter: (entry: ProxiedRequest) => boolean = () => true): string[] {
    return this.log.filter(filter).map(({ method, path }) => `${method} ${path}`);
  }

  /** Cuts open connections, including those in black holes. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    await closed;
    await rm(this.folder, { recursive: true, force: true });
  }

  #known(host: string): void {
    if (!this.#backends.has(host)) throw new Error(`the proxy was not started with the host ${host}`);
  }

  #serve(): void {
    this.server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.server.on('connect', (request, socket, head) => this.#connect(request, socket, head));
    this.server.on('request', (request, response) => {
      const url = new URL(request.url ?? '', 'http://the.proxy.itself');
      const refusal = this.#refusal(url.hostname, request);
      if (refusal !== undefined) {
        response.writeHead(refusal === 'wrong credentials' ? 407 : 502).end();
        return;
      }
      this.#handle(url.hostname, `http://${url.host}`, `${url.pathname}${url.search}`, request, response);
    });
    for (const [host, server] of this.secured) {
      // Some tests have clients that time out or do not trust the CA, so the error is not reported.
      server.on('tlsClientError', () => undefined);
      server.on('request', (request, response) => {
        this.#handle(host, `https://${host}`, request.url ?? '/', request, response);
      });
    }
  }

  #refusal(host: string, request: IncomingMessage): 'unknown host' | 'wrong credentials' | undefined {
    const { credentials } = this.options;
    const given = request.headers['proxy-authorization'];
    if (credentials !== undefined && given !== `Basic ${Buffer.from(credentials).toString('base64')}`) {
      return 'wrong credentials';
    }
    return this.#backends.has(host) ? undefined : 'unknown host';
  }

  #connect(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const [host = '', port] = (request.url ?? '').split(':');
    const refusal = port === '443' ? this.#refusal(host, request) : 'unknown host';
    if (refusal !== undefined) {
      this.connects.push({ host, outcome: refusal });
      const challenge = 'Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"';
      const reason = refusal === 'wrong credentials' ? `407 ${challenge}` : '502 Bad Gateway';
      socket.end(`HTTP/1.1 ${reason}\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const hole = this.#blackHoles.get(host);
    this.connects.push({ host, outcome: hole === undefined ? 'opened' : 'black hole' });
    if (hole === 'connect') return;
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (hole === 'handshake') {
      socket.resume();
      return;
    }
    if (head.length > 0) socket.unshift(head);
    this.secured.get(host)?.emit('connection', socket);
  }

  #handle(host: string, origin: string, target: string, request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(target, origin);
    const entry = {
      time: Date.now(),
      host,
      method: request.method ?? '',
      path: decoded(url.pathname),
      query: url.search.slice(1),
      authorization: request.headers.authorization?.split(' ')[0]?.toLowerCase(),
      status: 0,
    };
    this.log.push(entry);
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    this.#answer(entry, origin, target, url, request, response).catch(() => response.destroy());
  }

  async #answer(
    entry: OpenEntry,
    origin: string,
    target: string,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { host, method, path } = entry;
    if (this.#blackHoles.get(host) === 'request') {
      request.resume();
      return;
    }
    let read: Promise<Buffer> | undefined;
    const body = (): Promise<Buffer> => (read ??= readAll(request));
    const { headers } = request;
    const result = await this.#hooks.get(host)?.({ host, method, path, query: url.searchParams, headers, body });
    if (result !== undefined && 'fault' in result) {
      if (result.fault === 'reset') response.destroy();
      else request.resume();
      return;
    }
    if (result !== undefined && 'status' in result) {
      request.resume();
      const text = result.body ?? '';
      entry.status = result.status;
      response.writeHead(result.status, { 'content-length': Buffer.byteLength(text), ...result.headers });
      response.end(method === 'HEAD' ? undefined : text);
      return;
    }
    const backend = this.#backends.get(host);
    if (backend === undefined) {
      request.resume();
      entry.status = 502;
      response.writeHead(502).end(`${host} has no backend and its hook did not answer`);
      return;
    }
    await forward(request, response, {
      backend,
      origin,
      agent: this.#agent,
      path: result?.forward.path ?? target,
      body: read === undefined ? undefined : await read,
      onStatus: (status) => {
        entry.status = status;
        result?.forward.answered?.(status);
      },
    });
  }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}
