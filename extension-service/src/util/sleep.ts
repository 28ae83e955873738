export interface SleepOptions {
  /** Whether it keeps the process alive. @default true */
  readonly ref?: boolean;
}

/** Resolves after the given milliseconds, or at once when the signal aborts. Never rejects. */
export function sleep(milliseconds: number, signal?: AbortSignal, { ref = true }: SleepOptions = {}): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    if (!ref) timer.unref();
    signal?.addEventListener('abort', done, { once: true });
    if (signal?.aborted === true) done();
  });
}
