import { oneLine } from '../core/image/quote.js';
import { describeApiFailure } from './api-failure.js';

/** HTTP status of the API server's response; undefined for other errors. */
export function statusOf(error: unknown): number | undefined {
  return describeApiFailure(error).status;
}

/**
 * The API server's message, for users.
 *
 * @param what the object, as in `ConfigMap team/name`
 * @param verbs the service's verbs for it, to grant
 */
export function apiProblem(what: string, error: unknown, verbs: readonly string[]): string {
  const { status, message } = describeApiFailure(error);
  if (status === 401) return `${what}: the API server does not accept the service's token (401)`;
  if (status === 403) return `${what}: not allowed: ${oneLine(message)}; grant the service ${verbs.join(', ')} on it`;
  if (status === 404) return `${what}: does not exist`;
  if (status !== undefined) return `${what}: the API server responded ${status}: ${oneLine(message)}`;
  if (error instanceof Error && error.name === 'AbortError') return `${what}: the API server did not respond in time`;
  return `${what}: the API server is unreachable: ${oneLine(message)}`;
}
