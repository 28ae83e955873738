import { oneLine } from '../core/image/quote.js';

/** HTTP status of an answer of the API server; undefined for what is none. */
export function statusOf(error: unknown): number | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'number' ? code : undefined;
}

/**
 * What the API server said, for people: the client's own errors carry the whole answer with its headers.
 *
 * @param what the object, as in `ConfigMap team/name`
 * @param verbs what the service does with it, for whoever has to grant it
 */
export function apiProblem(what: string, error: unknown, verbs: readonly string[]): string {
  const status = statusOf(error);
  if (status === 401) return `${what}: the API server does not know the service's token (401)`;
  if (status === 403) return `${what}: not allowed: ${said(error)}; grant the service ${verbs.join(', ')} on it`;
  if (status === 404) return `${what}: does not exist`;
  if (status !== undefined) return `${what}: the API server answered ${status}: ${said(error)}`;
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
    return `${what}: the API server did not answer in time`;
  }
  return `${what}: the API server cannot be asked: ${short(error instanceof Error ? error.message : String(error))}`;
}

/** The message of the Status that the API server sent. */
function said(error: unknown): string {
  const body = (error as { readonly body?: unknown }).body;
  if (typeof body === 'string') {
    try {
      const { message } = JSON.parse(body) as { readonly message?: unknown };
      if (typeof message === 'string') return short(message);
    } catch {
      // A proxy's page, for example.
    }
    return short(body);
  }
  const message = (body as { readonly message?: unknown } | undefined)?.message;
  return typeof message === 'string' ? short(message) : 'no reason given';
}

function short(text: string): string {
  const line = oneLine(text.trim());
  return line.length > 400 ? `${line.slice(0, 400)}…` : line;
}
