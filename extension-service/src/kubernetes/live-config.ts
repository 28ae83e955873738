import type { Config } from '../core/config/model.js';
import { WakeUps } from '../util/wake-ups.js';

/** The current configuration, for long-running work. */
export interface LiveConfig {
  current(): Config;
  /** Resolves at the next change, after `milliseconds`, or when the signal aborts, whichever is first. */
  pause(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** Receives each new configuration from its reader. */
export class ConfigFeed implements LiveConfig {
  private readonly changes = new WakeUps();

  constructor(private config: Config) {}

  current(): Config {
    return this.config;
  }

  set(config: Config): void {
    this.config = config;
    this.changes.wake();
  }

  pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    return this.changes.wait(milliseconds, signal);
  }
}
