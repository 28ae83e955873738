import type { IncomingMessage } from 'node:http';
import { describeRequest, RegistryError } from '../errors.js';

/** The request that a response answers, for messages. */
export interface RequestInfo {
  /** host[:port] of the registry, even if it redirects. */
  readonly host: string;
  /** host[:port] that answers, if the registry redirects there. */
  readonly answeredBy?: string | undefined;
  readonly method: string;
  readonly url: URL;
}

/** The error for an answer that violates the distribution spec. */
export function invalid(asked: RequestInfo, message: string, cause?: unknown): RegistryError {
  const request = describeRequest(asked.method, asked.url);
  return new RegistryError(message, {
    kind: 'invalid',
    host: asked.host,
    answeredBy: asked.answeredBy,
    request,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The first value of a header. */
export function header(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
