import type { IncomingMessage } from 'node:http';
import { isIndexType, mediaTypeIn } from './manifest.js';
import { header } from './transport/answers.js';

/** A request to a registry as metrics count it. */
export interface RegistryRequest {
  /** host[:port] as references name it. */
  readonly host: string;
  readonly action: RegistryAction;
  /** An HTTP status, `4xx` or the like for an unusual one, `error` without an answer. */
  readonly code: string;
  /** Pulls that the registry still allows, where it says so (Docker Hub's `ratelimit-remaining`). */
  readonly remaining?: number;
  /** The registry counts the request as a pull. */
  readonly isPull?: boolean;
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

/** What a request to a registry does; `target` is its path, or a whole URL. */
export function actionOf(method: string, target: string): RegistryAction {
  // The place of an upload is any URL that the registry gives.
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

const USUAL_CODES: ReadonlySet<number> = new Set([
  200, 201, 202, 204, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 416, 429, 500,
  501, 502, 503, 504,
]);

/** Of any number that a registry may answer, few labels. */
export function codeOf(status: number): string {
  return USUAL_CODES.has(status) ? String(status) : `${Math.floor(status / 100)}xx`;
}

/** `ratelimit-remaining: 76;w=21600`, as Docker Hub answers. */
export function remainingOf(response: IncomingMessage): number | undefined {
  const [, digits] = /^\s*(\d{1,9})\s*(?:;|$)/.exec(header(response, 'ratelimit-remaining') ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Whether a registry counts an answer as a pull. Docker Hub counts each GET of a platform's manifest; a HEAD is free, and so
 * is an index (https://docs.docker.com/docker-hub/usage/pulls/). A registry that says how many pulls remain counts the same.
 */
export function isCountedPull(host: string, action: RegistryAction, response: IncomingMessage): boolean {
  if (action !== 'get-manifest' || response.statusCode !== 200) return false;
  if (host !== 'docker.io' && remainingOf(response) === undefined) return false;
  return !isIndexType(mediaTypeIn(response.headers['content-type']));
}
