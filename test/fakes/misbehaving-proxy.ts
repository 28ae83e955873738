import { once } from 'node:events';
import http, { type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/** A request as the client sent it. The body follows later, if the proxy reads it. */
export interface ProxyRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** host:port of the proxy. */
  readonly host: string;
}

export interface ProxyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Resets the connection after this many bytes of the body. */
  readonly cutAfter?: number;
  /** Sends no length, so that the body ends with the connection. */
  readonly unframed?: boolean;
  /** Closes the connection after the response without announcing it. */
  readonly closes?: boolean;
}

/** A way in which a registry, or a proxy in front of it, differs from the specification or from other registries. */
export interface Misbehavior {
  /** Responds before the request body is read, and closes the connection without reading the rest. */
  refuse?(request: ProxyRequest): ProxyAnswer | undefined;
  /** Responds instead of the registry. */
  replace?(request: ProxyRequest): ProxyAnswer | undefined;
  /** Request headers that the registry does not receive. */
  readonly strippedHeaders?: readonly string[];
  /** Changes the registry's response. */
  change?(request: ProxyRequest, answer: ProxyAnswer): ProxyAnswer;
}

/**
 * A proxy on loopback in front of a real registry, with one fault. The proxy holds bodies in memory, so it is only for
 * small images.
 *
 * ```ts const proxy = await MisbehavingProxy.start(registry.host, { replace: refuseHead }); ```
 */
export class MisbehavingProxy {
  /** `METHOD path status`, in order. */
  readonly log: string[] = [];

  private constructor(
    private readonly server: Server,
    private readonly backend: string,
    private readonly misbehavior: Misbehavior,
    readonly host: string,
  ) {}

  static async start(backend: string, misbehavior: Misbehavior): Promise<MisbehavingProxy> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const proxy = new MisbehavingProxy(server, backend, misbehavior, host);
    server.on('request', (request, response) => {
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      proxy.#serve(request, response).catch(() => response.destroy());
    });
    return proxy;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { host, misbehavior: misbehaviour } = this;
    const url = new URL(incoming.url ?? '/', `http://${host}`);
    const { method = '', headers } = incoming;
    const request = { method, path: url.pathname, query: url.searchParams, headers, host };
    const refusal = misbehaviour.refuse?.(request);
    if (refusal !== undefined) {
      this.log.push(`${method} ${request.path} ${refusal.status}`);
      response.writeHead(refusal.status, { ...refusal.headers, connection: 'close' });
      response.end(refusal.body, () => incoming.socket.destroy());
      return;
    }
    const body = await buffer(incoming);
    const replaced = misbehaviour.replace?.(request);
    const own = replaced ?? (await this.#ask(incoming, body));
    const answer = replaced === undefined ? (misbehaviour.change?.(request, own) ?? own) : own;
    this.log.push(`${method} ${request.path} ${answer.status}`);
    await send(response, answer, method === 'HEAD');
  }

  async #ask(incoming: IncomingMessage, body: Buffer): Promise<ProxyAnswer> {
    const [hostname, port] = this.backend.split(':');
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).filter(
        ([name]) => !HOP_BY_HOP.has(name) && this.misbehavior.strippedHeaders?.includes(name) !== true,
      ),
    );
    if (body.length > 0 || !['GET', 'HEAD'].includes(incoming.method ?? ''))
      headers['content-length'] = String(body.length);
    const outgoing = http.request({ hostname, port, method: incoming.method, path: incoming.url, headers });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const given = Object.entries(answer.headers).flatMap(([name, value]) =>
      HOP_BY_HOP.has(name) || value === undefined ? [] : [[name, String(value)] as const],
    );
    return { status: answer.statusCode ?? 502, headers: Object.fromEntries(given), body: await buffer(answer) };
  }
}

async function send(response: ServerResponse, answer: ProxyAnswer, isHead: boolean): Promise<void> {
  const { status, body, cutAfter, unframed = false, closes = false } = answer;
  const headers: Record<string, string> = { ...answer.headers };
  if (unframed) {
    // HTTP/1.0 does not support chunks, so the end of the connection ends the body.
    delete headers['content-length'];
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
  } else if (!isHead && status !== 204 && status !== 304) headers['content-length'] = String(body.length);
  response.writeHead(status, headers);
  if (isHead) response.end();
  else if (cutAfter === undefined) response.end(body);
  else {
    response.write(body.subarray(0, cutAfter));
    // The bytes must leave before the reset discards the rest.
    await delay(10);
    response.socket?.resetAndDestroy();
  }
  if (closes) response.once('close', () => response.req.socket.destroy());
}

const HOP_BY_HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length']);
