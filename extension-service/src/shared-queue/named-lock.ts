/** One place for each name: while it is taken, later callers wait in order of arrival. */
export class NamedLock {
  private readonly waiters = new Map<string, (() => void)[]>();

  /** Resolves when the place is free, or the signal aborts. @returns a function that frees the place */
  async acquire(name: string, signal: AbortSignal): Promise<() => void> {
    const waiting = this.waiters.get(name);
    if (waiting === undefined) this.waiters.set(name, []);
    else {
      const isMine = await new Promise<boolean>((resolve) => {
        const take = (): void => {
          signal.removeEventListener('abort', giveUp);
          resolve(true);
        };
        const giveUp = (): void => {
          waiting.splice(waiting.indexOf(take), 1);
          resolve(false);
        };
        waiting.push(take);
        signal.addEventListener('abort', giveUp, { once: true });
        if (signal.aborted) giveUp();
      });
      if (!isMine) return () => undefined;
    }
    return () => {
      const next = this.waiters.get(name)?.shift();
      if (next === undefined) this.waiters.delete(name);
      else next();
    };
  }
}
