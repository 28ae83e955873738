import type { Config } from '../core/config/model.js';

/** The configuration in force, for work that goes on while it changes. */
export interface LiveConfig {
  current(): Config;
  /** Resolves at the next change, after `milliseconds`, or when the signal aborts, whichever is first. */
  pause(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** Told of each new configuration by whoever reads it. */
export class ConfigFeed implements LiveConfig {
  private readonly waiting = new Set<() => void>();

  constructor(private config: Config) {}

  current(): Config {
    return this.config;
  }

  set(config: Config): void {
    this.config = config;
    for (const wake of [...this.waiting]) wake();
  }

  pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
