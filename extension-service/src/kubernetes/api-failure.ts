import { messageOf } from '../util/message-of.js';
import { parseBoundedJson } from '../core/json-bounds.js';
/** Why a request to the API server failed. */
export interface ApiFailure {
  /** Its HTTP status; undefined if there was no response. */
  readonly status: number | undefined;
  /** Its message, or the reason for a missing response; one short line. */
  readonly message: string;
  /** Milliseconds until the next request is allowed. */
  readonly retryAfter?: number;
}

const SHOWN = 300;

/** The client's errors contain the whole response, including headers; users need the status and its reason. */
export function describeApiFailure(error: unknown): ApiFailure {
  const { code, body, headers } = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly code?: unknown;
    readonly body?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
  };
  if (typeof code === 'number') {
    const message = statusMessage(body) ?? `status ${code}`;
    const seconds = Number(headers?.['retry-after'] ?? NaN);
    return { status: code, message, ...(seconds >= 0 && { retryAfter: seconds * 1_000 }) };
  }
  const message = messageOf(error);
  return { status: undefined, message: message.slice(0, SHOWN) };
}

/** The message of a `Status`, which the client returns as text or as an object. */
function statusMessage(body: unknown): string | undefined {
  let status = body;
  if (typeof body === 'string') {
    try {
      status = parseBoundedJson(body);
    } catch {
      return body === '' ? undefined : body.slice(0, SHOWN);
    }
  }
  const message = typeof status === 'object' && status !== null && 'message' in status ? status.message : undefined;
  return typeof message === 'string' && message !== '' ? message.slice(0, SHOWN) : undefined;
}
