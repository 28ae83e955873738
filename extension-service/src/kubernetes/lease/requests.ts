import type { Clock } from '../clock.js';
import { LeaseError } from './api.js';

/** Sends one request after the other; each ends in time even if the API server, or its client, hangs. */
export class LeaseRequests {
  private current: { readonly abort: (reason: Error) => void; readonly idle: boolean } | undefined;

  constructor(
    private readonly clock: Clock,
    /** Time limit in milliseconds for one request. */
    private readonly timeoutMs: number,
    /** Name of the Lease, for messages. */
    private readonly title: string,
  ) {}

  /** @param idle whether the request may be aborted by a stop without losing anything */
  async send<T>(request: (signal: AbortSignal) => Promise<T>, idle = false): Promise<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    );
    const abort = (reason: Error): void => controller.abort(reason);
    const late = `${this.title}: the API server does not respond within ${this.timeoutMs / 1_000} s`;
    const cancel = this.clock.after(this.timeoutMs, () => abort(new LeaseError('unreachable', late)));
    this.current = { abort, idle };
    try {
      return await Promise.race([request(signal), aborted]);
    } finally {
      cancel();
      this.current = undefined;
    }
  }

  abort(reason: Error): void {
    this.current?.abort(reason);
  }

  /** An aborted write may have been executed anyway, so a stop waits for it. */
  abortIdle(reason: Error): void {
    if (this.current?.idle === true) this.current.abort(reason);
  }
}
