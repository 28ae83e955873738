/** Delays of any number of callers, which one event ends early. */
export class WakeUps {
  private readonly waiting = new Set<() => void>();

  /** Ends all delays. */
  wake(): void {
    for (const wake of [...this.waiting]) wake();
  }

  /** Resolves at the next `wake`, after `milliseconds` (Infinity: no limit), or when the signal aborts, whichever is first. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = milliseconds === Infinity ? undefined : setTimeout(wake, milliseconds);
      this.waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
