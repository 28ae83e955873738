import type { Clock } from '../clock.js';
import { LeaseError } from './api.js';

/** Sends one request after the other, each of which ends in time even if the API server, or its client, hangs. */
export class LeaseRequests {
  private current: { readonly abort: (reason: Error) => void; readonly idle: boolean } | undefined;

  constructor(
    private readonly clock: Clock,
    /** Milliseconds that one may take. */
    private readonly longest: number,
    /** Of the Lease, for people. */
    private readonly title: string,
  ) {}

  /** @param idle whether nothing is lost when it is cut off because of a stop */
  async send<T>(request: (signal: AbortSignal) => Promise<T>, idle = false): Promise<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    );
    const abort = (reason: Error): void => controller.abort(reason);
    const late = `${this.title}: the API server does not respond within ${this.longest / 1_000} s`;
    const cancel = this.clock.after(this.longest, () => abort(new LeaseError('unreachable', late)));
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

  /** A write that is cut off may have been done all the same; that one is waited for. */
  abortIdle(reason: Error): void {
    if (this.current?.idle === true) this.current.abort(reason);
  }
}
