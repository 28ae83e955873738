import type { IncomingMessage } from 'node:http';
import { parseUrl } from '../util/parse-url.js';
import { header, type RequestInfo } from './transport/answers.js';

/** The size of a blob in the answer to HEAD; undefined if it is not stated, or is that of a coded body. */
export function statedSize(response: IncomingMessage): number | undefined {
  const length = header(response, 'content-length');
  if (length === undefined || 'content-encoding' in response.headers) return undefined;
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** The size of the whole blob in the answer to GET, if it is stated. */
export function wholeSize(response: IncomingMessage): number | undefined {
  const range = header(response, 'content-range');
  const [, total] = /\/(\d{1,15})\s*$/.exec(range ?? '') ?? [];
  if (total !== undefined) return Number(total);
  return response.statusCode === 206 || range !== undefined ? undefined : statedSize(response);
}

/** Whether a body has a first byte; the rest of it is not read. */
export async function hasFirstByte(response: IncomingMessage, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for await (const piece of response as AsyncIterable<Buffer>) if (piece.length > 0) return true;
    return false;
  } catch {
    signal?.throwIfAborted();
    return false;
  } finally {
    response.destroy();
  }
}

/** Whether a redirect leads away from the registry, and not to another registry that the name stands for. */
export function redirectsToStorage(location: string | undefined, { url }: RequestInfo): boolean {
  const next = location === undefined ? undefined : parseUrl(location, url);
  return next !== undefined && next.origin !== url.origin && !/^\/v2\/.+\/blobs\/sha/.test(next.pathname);
}
