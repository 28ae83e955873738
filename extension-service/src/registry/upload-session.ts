import { parseUrl } from '../util/parse-url.js';
import type { IncomingMessage } from 'node:http';
import { RegistryError } from './errors.js';
import { header, invalid, type RequestInfo } from './transport/answers.js';

/** An upload that a registry has started. */
export interface UploadSession {
  /** The URL for the bytes. */
  readonly location: URL;
  /** Minimum bytes of every chunk except the last one (`OCI-Chunk-Min-Length`). */
  readonly minimumChunk: number;
}

/** Throws a RegistryError of kind `invalid` for an answer without a usable Location. */
export function beginSession(response: IncomingMessage, asked: RequestInfo): UploadSession {
  const location = locationOf(response, asked);
  if (location === undefined) throw invalid(asked, 'started an upload without a Location');
  const minimum = header(response, 'oci-chunk-min-length') ?? '';
  return { location, minimumChunk: /^\d{1,12}$/.test(minimum) ? Number(minimum) : 0 };
}

/**
 * The Location of an answer; undefined if it has none. It is relative to the request's URL (RFC 9110, 10.2.2), and its
 * fragment is not sent to the server.
 */
export function locationOf(response: IncomingMessage, asked: RequestInfo): URL | undefined {
  const text = header(response, 'location');
  if (text === undefined || text.trim() === '') return undefined;
  // A proxy that adds a prefix may leave two slashes, which would make a host of `v2`.
  const location = parseUrl(text.replace(/^\s*\/\/v2\//, '/v2/'), asked.url);
  if (location === undefined) throw invalid(asked, 'the Location of the upload is not a URL');
  location.hash = '';
  return location;
}

/** Adds the digest to a Location. The other parameters stay byte for byte: some registries sign them. */
export function withDigest(location: URL, digest: string): string {
  const url = new URL(location);
  const query = url.search.replace(/^\?|&$/g, '');
  url.search = `${query === '' ? '' : `${query}&`}digest=${encodeURIComponent(digest)}`;
  return url.href;
}

/** How many bytes an upload has, from its `Range: 0-<last byte>`; undefined if the registry does not report it. */
export function receivedBytes(response: IncomingMessage): number | undefined {
  const [, last] =
    /^(?:bytes[= ] *)?0-(-?\d{1,15})(?:\/(?:\d+|\*))?$/i.exec(header(response, 'range')?.trim() ?? '') ?? [];
  if (last === undefined) return undefined;
  // Registries also send 0-0 for an empty upload.
  return Number(last) <= 0 ? 0 : Number(last) + 1;
}

const LOST_UPLOAD_CODES: ReadonlySet<string> = new Set([
  'BLOB_UPLOAD_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UNKNOWN',
  'RANGE_INVALID',
  // The digest of the sent bytes is right: the received bytes were different.
  'DIGEST_INVALID',
  'SIZE_INVALID',
  // The upload began in this repository: another replica does not know it.
  'NAME_UNKNOWN',
]);
const LOST_UPLOAD_TEXT =
  /\bupload\b.*\b(unknown|not found|invalid|expired|does not exist)|(unknown|invalid|no such) upload/i;

const LOST_UPLOAD_STATUSES: ReadonlySet<number> = new Set([400, 404, 409, 410, 422]);

/**
 * Whether a registry rejected bytes because it has lost the upload that it started, as replicas without shared state
 * do. Another upload may succeed.
 */
export function isLostUpload(error: unknown): error is RegistryError {
  if (!(error instanceof RegistryError) || error.status === undefined) return false;
  const { status, diagnostics, kind } = error;
  if (status === 416) return true;
  if ((kind !== 'invalid' && kind !== 'missing') || !LOST_UPLOAD_STATUSES.has(status)) return false;
  if (LOST_UPLOAD_TEXT.test(error.responseText)) return true;
  // A conflict is with another request to the same upload, such as one that a proxy repeated.
  if (status === 409) return true;
  return diagnostics.length === 0
    ? status === 404 || status === 410
    : diagnostics.some(({ code }) => LOST_UPLOAD_CODES.has(code));
}
