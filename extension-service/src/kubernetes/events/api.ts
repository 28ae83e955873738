import type { CopyEvent } from './copy-event.js';

/** Changes to an Event when the same thing happens again. */
export interface EventUpdate {
  readonly message: string;
  readonly lastSeen: Date;
  /** Unchanged if undefined. */
  readonly count?: number;
}

/** The requests of Events. Each rejects with an {@link EventError}. */
export interface EventsApi {
  create(event: CopyEvent, at: Date, count: number, signal: AbortSignal): Promise<void>;
  /** @returns its count */
  update(event: CopyEvent, update: EventUpdate, signal: AbortSignal): Promise<number>;
}

/**
 * `exists`: an Event with this name exists. `absent`: no Event has this name, or its namespace is gone. `dropped`: this
 * Event is rejected, others are not. `forbidden`: all are rejected until the right is granted. `later`: the API server
 * is down or busy.
 */
export type EventErrorKind = 'exists' | 'absent' | 'dropped' | 'forbidden' | 'later';

export class EventError extends Error {
  override readonly name = 'EventError';
  constructor(
    readonly kind: EventErrorKind,
    message: string,
    /** Milliseconds until the next request is allowed. */
    readonly retryAfter: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
