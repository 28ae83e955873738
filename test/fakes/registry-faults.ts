import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { bytesContent, type Content } from './registry-content.js';

/** A fault of a registry, which replaces or changes the correct response. */
export type FaultAction =
  /**
   * Responds with this status only, such as 429 with `retry-after`, 500 or 503. The body is an OCI error unless given.
   */
  | {
      readonly type: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Sends the error page of a proxy with the given status. A 200 is the hardest case to detect. */
  | { readonly type: 'html'; readonly status: number }
  /** Flips a bit of the first byte. The length stays correct. */
  | { readonly type: 'wrong-bytes' }
  /** Sends a Content-Length that differs from the body by `delta`, and closes the connection after the body. */
  | { readonly type: 'content-length'; readonly delta: number }
  /** Sends chunked encoding that ends properly after this many bytes. */
  | { readonly type: 'truncate'; readonly after: number }
  /** Resets the connection after this many bytes of the response body; 0 sends no response. */
  | { readonly type: 'reset'; readonly after: number }
  /**
   * Resets the connection without a response this long after the request arrived. Until then, the request body is read.
   */
  | { readonly type: 'cut'; readonly milliseconds: number }
  /** Never responds, or stops after this many bytes of the body. */
  | { readonly type: 'hang'; readonly after?: number }
  | { readonly type: 'delay'; readonly milliseconds: number }
  /** Responds once this promise has resolved. */
  | { readonly type: 'wait'; readonly until: Promise<void> }
  /** Sends the response body and reads the request body at this rate. */
  | { readonly type: 'slow'; readonly bytesPerSecond: number }
  /** Sends the body one byte at a time, with this many milliseconds between bytes. */
  | { readonly type: 'drip'; readonly interval: number }
  /** Sends the client to the same path on another origin, with a signed-looking query. */
  | { readonly type: 'redirect'; readonly to: string; readonly status?: number }
  /**
   * Responds while the request body still arrives, and closes without reading the rest, as a proxy with a body limit
   * does.
   */
  | { readonly type: 'refuse'; readonly status: number; readonly body?: string }
  /** Responds without an error while the request body still arrives. The rest is not read, and the connection stays. */
  | { readonly type: 'early'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Resets the connection after this many bytes of the request body. The registry keeps these bytes. */
  | { readonly type: 'cut-body'; readonly after: number }
  /** Compresses the response although the client did not ask for it, as some proxies do. */
  | { readonly type: 'coding'; readonly coding: 'gzip' | 'deflate' | 'br' }
  /** Rewrites the Location of an upload. */
  | { readonly type: 'location'; readonly rewrite: (location: URL) => string }
  /** Sends the correct response with another status. */
  | { readonly type: 'other-status'; readonly status: number }
  | { readonly type: 'omit-header'; readonly name: string }
  | {
      readonly type: 'header';
      readonly name: string;
      readonly value: string;
      /** Milliseconds before the response, or what it waits for. */
      readonly delay?: number | Promise<void>;
      readonly onSent?: () => void;
    };

export interface FaultRule {
  readonly method?: string;
  /** Substring of the URL's path, or a pattern for it. */
  readonly path?: string | RegExp;
  /** Pattern for the URL's query, without the question mark. */
  readonly query?: RegExp;
  /** Number of matching requests that pass before the fault begins. */
  readonly after?: number;
  /** Number of affected requests. If absent, all. */
  readonly times?: number;
  readonly action: FaultAction | (() => FaultAction);
}

export class FaultList {
  #rules: { readonly rule: FaultRule; seen: number }[] = [];

  add(rule: FaultRule): void {
    this.#rules.push({ rule, seen: 0 });
  }

  clear(): void {
    this.#rules = [];
  }

  /** Returns the first rule that applies to this request. */
  take(method: string, path: string, query: string): FaultAction | undefined {
    for (const entry of this.#rules) {
      const { rule } = entry;
      if (rule.method !== undefined && rule.method !== method) continue;
      if (typeof rule.path === 'string' && !path.includes(rule.path)) continue;
      if (rule.path instanceof RegExp && !rule.path.test(path)) continue;
      if (rule.query?.test(query) === false) continue;
      const index = entry.seen++;
      const after = rule.after ?? 0;
      if (index < after || (rule.times !== undefined && index >= after + rule.times)) continue;
      return typeof rule.action === 'function' ? rule.action() : rule.action;
    }
    return undefined;
  }
}

/** Simulates the faults that replace the response. Returns true if it has handled the request. */
export async function replaceAnswer(
  fault: FaultAction | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  switch (fault?.type) {
    case 'status': {
      const body = fault.body ?? JSON.stringify({ errors: [{ code: statusCode(fault.status), message: 'injected' }] });
      request.resume();
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers }).end(body);
      return true;
    }
    case 'html':
      request.resume();
      response
        .writeHead(fault.status, { 'content-type': 'text/html; charset=utf-8' })
        .end(
          '<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Service unavailable</h1></body></html>',
        );
      return true;
    case 'redirect': {
      request.resume();
      const url = new URL(request.url ?? '/', fault.to);
      url.searchParams.set('X-Amz-Signature', 'signed-secret');
      response.writeHead(fault.status ?? 307, { location: url.href }).end();
      return true;
    }
    case 'refuse':
      response.writeHead(fault.status, { 'content-type': 'text/html', connection: 'close' });
      response.end(fault.body ?? '<html><head><title>413 Request Entity Too Large</title></head></html>', () =>
        request.socket.destroy(),
      );
      return true;
    case 'early':
      response.writeHead(fault.status, { 'content-length': 0, ...fault.headers }).end();
      return true;
    case 'hang':
      if (fault.after !== undefined) return false;
      request.resume();
      return true;
    case 'cut':
      request.resume();
      await delay(fault.milliseconds);
      request.socket.resetAndDestroy();
      return true;
    case 'reset':
      if (fault.after > 0) return false;
      request.socket.resetAndDestroy();
      return true;
    case 'delay':
      await delay(fault.milliseconds);
      return false;
    case 'wait':
      await fault.until;
      return false;
    case 'header':
      if (fault.delay !== undefined) await (typeof fault.delay === 'number' ? delay(fault.delay) : fault.delay);
      return false;
    default:
      return false;
  }
}

function statusCode(status: number): string {
  return status === 429 ? 'TOOMANYREQUESTS' : status === 404 ? 'NAME_UNKNOWN' : status === 403 ? 'DENIED' : 'UNKNOWN';
}

/** Sends a response with the fault. */
export async function sendAnswer(
  response: ServerResponse,
  options: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly content?: Content;
    readonly range?: { readonly start: number; readonly end: number };
    readonly headOnly: boolean;
    readonly fault: FaultAction | undefined;
  },
): Promise<void> {
  const { fault } = options;
  const plain = options.content ?? bytesContent(new Uint8Array());
  const content = fault?.type === 'coding' && !options.headOnly ? compressed(plain, fault.coding) : plain;
  const { start, end } = options.range ?? { start: 0, end: content.size };
  const headers: Record<string, string> = { ...options.headers };
  if (options.status !== 204) headers['content-length'] ??= String(end - start);
  if (fault?.type === 'content-length') headers['content-length'] = String(end - start + fault.delta);
  if (fault?.type === 'coding') headers['content-encoding'] = fault.coding;
  if (fault?.type === 'location' && headers['location'] !== undefined) {
    headers['location'] = fault.rewrite(new URL(headers['location'], 'http://registry.invalid'));
  }
  if (fault?.type === 'truncate') delete headers['content-length'];
  if (fault?.type === 'omit-header') delete headers[fault.name.toLowerCase()];
  if (fault?.type === 'header') headers[fault.name.toLowerCase()] = fault.value;
  response.writeHead(fault?.type === 'other-status' ? fault.status : options.status, headers);
  if (fault?.type === 'header') fault.onSent?.();
  if (options.headOnly) {
    response.end();
    return;
  }
  const stop =
    fault?.type === 'truncate' || fault?.type === 'reset' || fault?.type === 'hang' ? (fault.after ?? 0) : end;
  let sent = 0;
  for (let piece of content.chunks(start, end)) {
    if (response.destroyed) return;
    if (fault?.type === 'drip') await drip(response, piece.subarray(0, -1), fault.interval);
    if (fault?.type === 'drip') piece = piece.subarray(-1);
    if (fault?.type === 'wrong-bytes' && sent === 0) {
      piece = Buffer.from(piece);
      piece[0] = (piece[0] ?? 0) ^ 1;
    }
    if (sent + piece.length > stop) piece = piece.subarray(0, stop - sent);
    if (fault?.type === 'slow') await delay((piece.length / fault.bytesPerSecond) * 1000);
    const room = response.write(piece);
    sent += piece.length;
    if (sent >= stop) break;
    if (!room) await drained(response);
  }
  if (fault?.type === 'hang') return;
  if (fault?.type === 'reset') {
    // The bytes must leave before the reset discards the rest.
    await delay(10);
    response.socket?.resetAndDestroy();
    return;
  }
  response.end();
  if (fault?.type === 'content-length') {
    await delay(10);
    response.socket?.destroy();
  }
}

function compressed(content: Content, coding: 'gzip' | 'deflate' | 'br'): Content {
  const bytes = Buffer.concat([...content.chunks(0, content.size)]);
  const compress = { gzip: gzipSync, deflate: deflateSync, br: brotli }[coding];
  return bytesContent(compress(bytes));
}

/** Node's default quality is the slowest one. */
function brotli(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MIN_QUALITY } });
}

/** Resolves when the socket can take more data or the client has disconnected. */
async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

async function drip(response: ServerResponse, piece: Buffer, interval: number): Promise<void> {
  for (const byte of piece) {
    if (response.destroyed) return;
    response.write(Buffer.of(byte));
    await delay(interval);
  }
}
