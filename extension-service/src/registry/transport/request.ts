import type { IncomingMessage } from 'node:http';
import type { RequestInfo } from './answers.js';
import type { BodyWriter } from './http.js';
import type { ConnectionUse } from './request-slots.js';
import type { Scope } from './scopes.js';

/** A request for a session to send. */
export interface SessionRequest {
  readonly method: string;
  /** Path with query on the registry, or a full URL (an upload's Location). */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | BodyWriter;
  /** The scopes that the request needs; the first one is for the repository. */
  readonly scopes: readonly Scope[];
  /** Statuses that are results and not errors. */
  readonly accept: readonly number[];
  /** Whether a 404 may mean "not allowed", which some registries do. */
  readonly mayBeHidden?: boolean;
  /** As in the HTTP request. */
  readonly use?: ConnectionUse;
}

export interface SessionAnswer {
  readonly response: IncomingMessage;
  readonly asked: RequestInfo;
}
