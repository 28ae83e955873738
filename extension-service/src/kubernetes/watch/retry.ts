import type { ApiStatusError } from './cluster-lists.js';

/** Whether the same request may succeed later. */
export function isTransient({ code }: ApiStatusError): boolean {
  return code === 0 || code === 408 || code === 429 || code >= 500;
}

/** Whether the service lacks the right for the request. */
export function isRefusal({ code }: ApiStatusError): boolean {
  return code === 401 || code === 403;
}

/**
 * Milliseconds until the next try: doubled with each failure in a row, within `bounds`, and not before the server
 * allows it.
 */
export function backoff(
  failures: number,
  { retryAfter = 0 }: ApiStatusError,
  [least, most]: readonly [number, number],
  random: () => number,
): number {
  const doubled = Math.min(most, least * 2 ** Math.min(failures - 1, 10)) * (0.5 + 0.5 * random());
  return Math.max(doubled, Math.min(retryAfter, most));
}
