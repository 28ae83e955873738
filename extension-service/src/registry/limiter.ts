import { abortReason, onAbort } from './transport/abort.js';

/** Runs at most this many tasks in parallel, in order of arrival. */
export class Limiter {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Rejects with the abort's reason if that comes before the task's turn. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await task();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#free++;
      else next();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop =
        signal &&
        onAbort(signal, () => {
          this.#waiting.delete(turn);
          reject(abortReason(signal));
        });
      const turn = (): void => {
        stop?.();
        this.#waiting.delete(turn);
        resolve();
      };
      this.#waiting.add(turn);
    });
  }
}
