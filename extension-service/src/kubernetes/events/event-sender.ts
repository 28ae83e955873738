import type { Clock } from '../clock.js';
import { EventError } from './api.js';
import type { EventsApi } from './api.js';
import type { CopyEvent } from './copy-event.js';
import { BoundedMap } from '../../util/bounded-map.js';

export interface EventSenderOptions {
  readonly api: EventsApi;
  readonly clock: Clock;
  readonly random?: () => number;
  /** Aborts delays and requests. */
  readonly signal: AbortSignal;
}

/** Number of Events whose counts are remembered, as in client-go. */
const MAX_REMEMBERED = 4_096;
const MAX_TRIES = 4;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
/** Time limit in milliseconds for a request. */
const REQUEST_TIMEOUT_MS = 10_000;
const NO_ANSWER = 'the API server does not respond';

/** Writes one Event: creates it, or increases its count if the same was reported before, by this replica or another. */
export class EventSender {
  /** Counts by namespace and name. */
  private readonly counts = new BoundedMap<string, number>(MAX_REMEMBERED);

  constructor(private readonly options: EventSenderOptions) {}

  /**
   * @param onRequest called before each request
   * @throws EventError, also after several tries without an answer of the API server
   */
  async send(event: CopyEvent, times: number, onRequest: () => void): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.write(event, times, onRequest);
        return;
      } catch (error) {
        const { signal } = this.options;
        const mayRetry = error instanceof EventError && error.kind === 'later' && tries < MAX_TRIES && !signal.aborted;
        if (!mayRetry) throw error;
        const jitter = 0.5 + 0.5 * (this.options.random ?? Math.random)();
        const pause = Math.max(FIRST_PAUSE_MS * 2 ** (tries - 1) * jitter, error.retryAfter ?? 0);
        await this.pause(Math.min(pause, MAX_PAUSE_MS));
      }
    }
  }

  /** Ends early if the signal aborts. */
  pause(milliseconds: number): Promise<void> {
    const { clock, signal } = this.options;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = clock.after(milliseconds, end);
      signal.addEventListener('abort', end, { once: true });
    });
  }

  private async write(event: CopyEvent, times: number, onRequest: () => void): Promise<void> {
    const key = `${event.namespace}/${event.name}`;
    const known = this.counts.get(key);
    if (known === undefined) {
      if (await this.create(event, times, onRequest)) this.remember(key, times);
      else this.remember(key, await this.addTo(event, times, onRequest));
      return;
    }
    try {
      this.remember(key, await this.update(event, known + times, onRequest));
    } catch (error) {
      // The API server keeps Events for an hour or so.
      if (!(error instanceof EventError) || error.kind !== 'absent') throw error;
      this.counts.delete(key);
      await this.create(event, times, onRequest);
      this.remember(key, times);
    }
  }

  /** @returns false if it exists, from an earlier process or another leader */
  private async create(event: CopyEvent, times: number, onRequest: () => void): Promise<boolean> {
    const { api, clock } = this.options;
    try {
      await this.request(onRequest, (signal) => api.create(event, clock.date(), times, signal));
      return true;
    } catch (error) {
      if (error instanceof EventError && error.kind === 'exists') return false;
      throw error;
    }
  }

  /** The service may write Events but not read them, so the response to a change provides the count to increase. */
  private async addTo(event: CopyEvent, times: number, onRequest: () => void): Promise<number> {
    const count = await this.update(event, undefined, onRequest);
    return this.update(event, count + times, onRequest);
  }

  private update(event: CopyEvent, count: number | undefined, onRequest: () => void): Promise<number> {
    const { api, clock } = this.options;
    const update = { message: event.message, lastSeen: clock.date(), ...(count !== undefined && { count }) };
    return this.request(onRequest, (signal) => api.update(event, update, signal));
  }

  /** Ends in time even if the API server, or its client, hangs. */
  private async request<T>(onRequest: () => void, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, signal: stop } = this.options;
    onRequest();
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(new EventError('later', NO_ANSWER, undefined)), { once: true }),
    );
    const abort = (): void => controller.abort();
    const cancel = clock.after(REQUEST_TIMEOUT_MS, abort);
    stop.addEventListener('abort', abort, { once: true });
    if (stop.aborted) abort();
    try {
      return await Promise.race([aborted, send(signal)]);
    } finally {
      cancel();
      stop.removeEventListener('abort', abort);
    }
  }

  private remember(key: string, count: number): void {
    this.counts.set(key, count);
  }
}
