import type { IncomingMessage } from 'node:http';
import { isIndexType, mediaTypeIn } from './manifest.js';

/** A request to a registry, for metrics. */
export interface RegistryRequest {
  /** host[:port] as references name it. */
  readonly host: string;
  readonly action: RegistryAction;
  /** An HTTP status, `4xx` or the like for an unusual one, `error` without an answer. */
  readonly code: string;
  /** Remaining pulls, if the registry reports them (Docker Hub's `ratelimit-remaining`). */
  readonly remaining?: number;
  /** Whether the registry counts the request as a pull. */
  readonly isPull?: boolean;
  /** Milliseconds from the request to the head of its answer, if there is one. */
  readonly milliseconds?: number;
}

export type RegistryAction =
  | 'head-manifest'
  | 'get-manifest'
  | 'put-manifest'
  | 'head-blob'
  | 'get-blob'
  | 'start-upload'
  | 'send-upload'
  | 'cancel-upload'
  | 'list-referrers'
  | 'token'
  | 'other';

export type OnRegistryRequest = (request: RegistryRequest) => void;

/** The action of a request to a registry; `target` is its path, or a full URL. */
export function actionOf(method: string, target: string): RegistryAction {
  // The location of an upload is any URL that the registry returns.
  if (method === 'PATCH' || (method === 'PUT' && !target.includes('/manifests/'))) return 'send-upload';
  if (method === 'DELETE') return 'cancel-upload';
  if (method === 'POST') return 'start-upload';
  if (target.includes('/referrers/')) return 'list-referrers';
  const kind = target.includes('/manifests/') ? 'manifest' : target.includes('/blobs/') ? 'blob' : undefined;
  if (kind === undefined) return 'other';
  if (kind === 'manifest' && method === 'PUT') return 'put-manifest';
  if (method === 'HEAD') return `head-${kind}`;
  return method === 'GET' ? `get-${kind}` : 'other';
}

const KNOWN_STATUS_CODES: ReadonlySet<number> = new Set([
  200, 201, 202, 204, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 416, 429, 500,
  501, 502, 503, 504,
]);

/** Reduces all status codes to a few labels. */
export function codeOf(status: number): string {
  return KNOWN_STATUS_CODES.has(status) ? String(status) : `${Math.floor(status / 100)}xx`;
}

export interface RateLimitHeaders {
  readonly headers?: IncomingMessage['headers'];
}

/** `ratelimit-remaining: 76;w=21600`, as sent by Docker Hub. */
export function remainingOf({ headers = {} }: RateLimitHeaders): number | undefined {
  const [value] = [headers['ratelimit-remaining']].flat();
  const [, digits] = /^\s*(\d{1,9})\s*(?:;|$)/.exec(value ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Whether a registry counts a response as a pull. Docker Hub counts each GET of a platform's manifest; HEAD requests
 * and indexes are free (https://docs.docker.com/docker-hub/usage/pulls/). Registries that report the remaining pulls
 * count the same.
 */
export function isCountedPull(host: string, action: RegistryAction, response: IncomingMessage): boolean {
  if (action !== 'get-manifest' || response.statusCode !== 200) return false;
  if (host !== 'docker.io' && remainingOf(response) === undefined) return false;
  return !isIndexType(mediaTypeIn(response.headers['content-type']));
}
