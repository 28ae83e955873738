import type { CopyEvent } from './copy-event.js';

/** Changes to an Event when the same thing happens again. */
export interface EventUpdate {
  readonly message: string;
  readonly lastSeen: Date;
  /** Left as it is where undefined. */
  readonly count?: number;
}

/** The requests of Events. Each rejects with an {@link EventError}. */
export interface EventsApi {
  create(event: CopyEvent, at: Date, count: number, signal: AbortSignal): Promise<void>;
  /** @returns its count */
  update(event: CopyEvent, update: EventUpdate, signal: AbortSignal): Promise<number>;
}

/**
 * `exists`: one of this name is there. `absent`: none of this name, or its namespace is gone. `dropped`: this one is
 * not taken, others are. `forbidden`: none is taken until somebody grants the right. `later`: the API server is down or
 * busy.
 */
export type EventErrorKind = 'exists' | 'absent' | 'dropped' | 'forbidden' | 'later';

export class EventError extends Error {
  override readonly name = 'EventError';
  constructor(
    readonly kind: EventErrorKind,
    message: string,
    /** Milliseconds that the API server asks to be left alone. */
    readonly retryAfter: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
