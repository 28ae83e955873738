import { createHash } from 'node:crypto';
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Writable } from 'node:stream';
import { createSecureContext } from 'node:tls';
import { rememberAuthorization } from '../sent-secrets.js';
import type { TlsSettings } from '../types.js';
import { classifyAddress, type AddressClass } from './addresses.js';
import { ConnectAgent } from './connect-agent.js';
import { abortReason, onAbort, untilAborted } from './abort.js';
import { readEarlyAnswer } from './early-answer.js';
import { NO_ADDED_CAS, trustedCas, type AddedCas } from './added-cas.js';
import type { AddressPolicy } from './host-guard.js';
import { LenientOrigins } from './lenient-origins.js';
import { effectivePort, hostname, type ProxyChoice } from './proxy.js';
import { READ_BUFFERS } from './read-buffers.js';
import { RequestSlots, type ConnectionUse } from './request-slots.js';
import { endIdleConnections, MAX_STALE_CONNECTIONS, hitClosedConnection } from './stale-connection.js';
import { DEFAULT_TIMEOUTS, watch, type Timeouts } from './watchdog.js';

/** All addresses of a name, in the form of `dns.lookup` with `all`. */
export type Resolve = (
  host: string,
  callback: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

export interface HttpOptions {
  readonly proxy: ProxyChoice;
  readonly timeouts?: Partial<Timeouts>;
  /** Maximum sockets per origin, for each use of a connection. */
  readonly maxSockets?: number;
  readonly resolve?: Resolve;
  /** CA certificates that the environment adds. */
  readonly added?: AddedCas;
}

/** Writes the body once the request exists; reports problems with `request.destroy(error)`. */
export type BodyWriter = (request: Writable) => void;

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | BodyWriter;
  readonly policy: AddressPolicy;
  readonly tls: TlsSettings;
  readonly signal?: AbortSignal;
  /** @default 'upload' with a streamed body, else 'exchange' */
  readonly use?: ConnectionUse;
}

/** A connection that the address policy does not allow. */
export class RefusedAddressError extends Error {
  override readonly name = 'RefusedAddressError';
}

/** A request whose body is not sent yet, and the peer of its connection. */
interface OpenedConnection {
  readonly outgoing: ClientRequest;
  readonly isLenient: boolean;
  readonly agent: http.Agent;
  readonly host: string;
  readonly port: number;
}

const DEFAULT_MAX_SOCKETS = 16;

/**
 * Maximum bytes of the headers of a response. Node's own limit of 16 KiB rejects the security policies and cookies of
 * some proxies; clients written in Go accept far more.
 */
const MAX_HEADER_BYTES = 256 * 1024;

/**
 * How long to try one address of a name while there are others. Node gives up each attempt before it begins the next
 * one, by default after 250 ms: a distant registry behind a slow network would never be reached (nodejs/node#54359).
 */
const ADDRESS_TIMEOUT_MS = 1_500;

/** Bytes that a socket may buffer before its writer has to pause: a larger buffer causes fewer pauses per blob. */
const SOCKET_BUFFER_BYTES = 256 * 1024;
/** The same over TLS, where each buffered byte also exists encrypted, and waiting pieces are copied into one. */
const TLS_SOCKET_BUFFER_BYTES = 64 * 1024;

/**
 * HTTP/1.1 over keep-alive sockets, one hop at a time: no redirects, no retries, no authentication. See
 * docs/decisions/0001-http-client.md for the choice of node:http.
 */
export class Http {
  readonly #options: HttpOptions;
  readonly #timeouts: Timeouts;
  readonly #agents = new Map<string, http.Agent>();
  readonly #slots: RequestSlots;
  readonly #lenient = new LenientOrigins();

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#slots = new RequestSlots(options.maxSockets ?? DEFAULT_MAX_SOCKETS);
    const { timeouts = {} } = options;
    const transfer = timeouts.transfer ?? timeouts.headers;
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...timeouts, ...(transfer !== undefined && { transfer }) };
  }

  /**
   * Resolves with the answer when its headers have arrived. Rejects with the signal's reason, a RefusedAddressError, or
   * node:http's error.
   */
  async send(request: HttpRequest): Promise<IncomingMessage> {
    const { use = typeof request.body === 'function' ? 'upload' : 'exchange' } = request;
    for (let stale = 0; ; stale += 1) {
      const free = await this.#slots.take(request.url.origin, use, request.signal);
      let opened: OpenedConnection | undefined;
      try {
        opened = this.#open(request);
        opened.outgoing.once('close', free);
        return await this.#answer(opened.outgoing, request, use !== 'exchange');
      } catch (error) {
        // A request that never had a socket emits no event.
        free();
        if (opened === undefined) throw error;
        const { outgoing, isLenient, agent, host, port } = opened;
        const isUnderstoodNow = !isLenient && this.#lenient.add(request.url, error);
        // A streamed body cannot be sent twice.
        const isOver = stale >= MAX_STALE_CONNECTIONS || typeof request.body === 'function';
        if (isOver || request.signal?.aborted === true) throw error;
        if (isUnderstoodNow) continue;
        if (!hitClosedConnection(outgoing, error)) throw error;
        endIdleConnections(agent, host, port);
      }
    }
  }

  #open(request: HttpRequest): OpenedConnection {
    request.signal?.throwIfAborted();
    const { url, policy } = request;
    const host = hostname(url);
    const port = effectivePort(url);
    const proxy = this.#options.proxy(url);
    const refusal = policy.refusal(host, port, undefined, proxy !== undefined);
    if (refusal !== undefined) throw new RefusedAddressError(refusal);
    const secure = url.protocol === 'https:';
    const viaProxy = proxy !== undefined && !secure;
    // Without it any content coding is acceptable (RFC 9110, 12.5.3), but digests are of the original bytes.
    const headers: Record<string, string> = { host: url.host, 'accept-encoding': 'identity', ...request.headers };
    if (viaProxy && proxy.username !== '') headers['proxy-authorization'] = proxyAuthorization(proxy);
    rememberAuthorization(headers['authorization']);
    if (proxy !== undefined && proxy.username !== '') rememberAuthorization(proxyAuthorization(proxy));
    if (request.body instanceof Buffer) headers['content-length'] ??= String(request.body.length);
    else if (request.body === undefined && request.method !== 'GET' && request.method !== 'HEAD') {
      headers['content-length'] = '0';
    }
    const isLenient = this.#lenient.has(url);
    if (isLenient) headers['connection'] = 'close';
    const agent = this.#agent(request, proxy);
    const peer = viaProxy ? { host: hostname(proxy), port: effectivePort(proxy) } : { host, port };
    const options: https.RequestOptions = {
      method: request.method,
      ...peer,
      path: viaProxy ? `${url.protocol}//${url.host}${url.pathname}${url.search}` : `${url.pathname}${url.search}`,
      headers,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: isLenient,
      agent,
      ...(proxy === undefined && { lookup: guardedLookup(this.#options.resolve ?? resolveBySystem, policy, port) }),
    };
    const overTls = viaProxy ? proxy.protocol === 'https:' : secure;
    return { outgoing: (overTls ? https : http).request(options), isLenient, agent, ...peer };
  }

  async #answer(outgoing: ClientRequest, request: HttpRequest, isTransfer: boolean): Promise<IncomingMessage> {
    const { signal } = request;
    if (signal !== undefined)
      outgoing.once(
        'close',
        onAbort(signal, () => outgoing.destroy(abortReason(signal))),
      );
    readEarlyAnswer(outgoing);
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', (response) => {
        // The rest of a rejected body is not sent, so the connection cannot be reused.
        if (!outgoing.writableEnded) response.once('close', () => outgoing.destroy());
        resolve(response);
      });
      outgoing.on('error', (error) => reject(signal?.aborted === true ? abortReason(signal) : error));
      watch(outgoing, this.#timeouts, isTransfer, (error) => {
        outgoing.destroy(error);
        reject(error);
      });
      if (typeof request.body === 'function') request.body(outgoing);
      else outgoing.end(request.body);
    });
    // A request without a socket is not notified of its abort.
    return signal === undefined ? answer : untilAborted(answer, signal);
  }

  /**
   * The class of the address that an answer came from. Behind a proxy it is public, unless the URL itself contains an
   * address: the connection is to the proxy, whose address says nothing about the registry's.
   */
  peerClass(response: IncomingMessage, url: URL): AddressClass {
    const literal = isIP(hostname(url)) === 0 ? undefined : hostname(url);
    const address = this.#options.proxy(url) === undefined ? response.socket.remoteAddress : literal;
    return address === undefined ? 'public' : classifyAddress(address);
  }

  /** Closes every socket, including those in use. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  #cas(ca: string | undefined): { readonly ca?: string[] } {
    const list = trustedCas(this.#options.added ?? NO_ADDED_CAS, ca);
    return list === undefined ? {} : { ca: list };
  }

  /**
   * Created once for all connections of an agent: Node would parse the whole list of CA certificates for each of them.
   */
  #trust(tls: TlsSettings): https.AgentOptions {
    // Without verification no list is needed, and parsing Node's takes longer than a handshake.
    const cas = tls.verify ? this.#cas(tls.ca) : { ca: tls.ca === undefined ? [] : [tls.ca] };
    return {
      // A name may resolve to another party next time, which must not get this one's session ticket.
      maxCachedSessions: 0,
      rejectUnauthorized: tls.verify,
      secureContext: createSecureContext({ ...cas, ...tls.clientCertificate }),
    };
  }

  /**
   * Node's agents pool per origin; there is one agent for each kind of connection, of which a configuration allows few.
   */
  #agent(request: HttpRequest, proxy: URL | undefined): http.Agent {
    const { policy, tls, url } = request;
    const secure = url.protocol === 'https:';
    const key = [policy.key, secure && trustKey(tls), proxy?.href].join('|');
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      // The timeout is for idle sockets; sockets in use have the watchdog.
      const { maxSockets = DEFAULT_MAX_SOCKETS } = this.#options;
      const pool = {
        highWaterMark: secure ? TLS_SOCKET_BUFFER_BYTES : SOCKET_BUFFER_BYTES,
        // The slots bound the sockets in use: a request that waits here would count as one without a connection.
        keepAlive: true,
        // Requests come in bursts: closing sockets after each burst would cost handshakes in the next one.
        maxFreeSockets: maxSockets,
        timeout: 30_000,
      };
      const direct = { ...pool, onread: READ_BUFFERS, autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT_MS };
      if (!secure) agent = proxy?.protocol === 'https:' ? new https.Agent(direct) : new http.Agent(direct);
      else if (proxy === undefined) agent = new https.Agent({ ...direct, ...this.#trust(tls) });
      else agent = new ConnectAgent({ ...pool, ...this.#trust(tls), proxy: proxy.href });
      this.#agents.set(key, agent);
    }
    return agent;
  }
}

function trustKey({ verify, ca, clientCertificate }: TlsSettings): string {
  return createHash('sha256')
    .update(JSON.stringify([verify, ca, clientCertificate]))
    .digest('base64');
}

/**
 * Resolves names for one connection, and returns only the addresses that the policy allows. Addresses in the URL never
 * come here: `send` checks them as text.
 */
function guardedLookup(resolve: Resolve, policy: AddressPolicy, port: number): LookupFunction {
  return (host, options, callback) => {
    resolve(host, (error, addresses) => {
      if (error !== null) return callback(error, '');
      let refusal: string | undefined;
      const wanted = options.family === 4 || options.family === 6 ? options.family : undefined;
      const allowed = addresses.filter(({ address, family }) => {
        const reason = policy.refusal(host, port, address);
        refusal ??= reason;
        return reason === undefined && (wanted === undefined || family === wanted);
      });
      const [first] = allowed;
      if (first === undefined) {
        callback(refusal === undefined ? new Error(`${host} has no address`) : new RefusedAddressError(refusal), '');
      } else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

const resolveBySystem: Resolve = (host, callback) => systemLookup(host, { all: true }, callback);

function proxyAuthorization(proxy: URL): string {
  const text = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(text).toString('base64')}`;
}
