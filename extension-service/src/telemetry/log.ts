import { destination, pino, stdTimeFunctions } from 'pino';
import type { LogFn, Logger } from 'pino';
import pretty from 'pino-pretty';
import { oneLine } from '../core/image/quote.js';
import type { LogLevel } from '../core/config/model.js';

export type { Logger } from 'pino';

/** Resolves when every line is written. */
export function flush(log: Logger): Promise<void> {
  return new Promise((resolve) => log.flush(() => resolve()));
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'console';
}

/**
 * Logs go to stderr, one line each; stdout is for data. `json` has the fields of k8s-image-swapper's zerolog lines:
 * `level`, `time`, `message`.
 */
export function createLogger({ level, format }: LogOptions): Logger {
  const options = {
    level,
    base: null,
    messageKey: 'message',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: {
      // Messages quote registries and Pods: a line break or a terminal escape must not create separate lines.
      logMethod(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
        const cleaned = args.map((arg: unknown) => (typeof arg === 'string' ? oneLine(arg) : arg));
        method.apply(this, cleaned as Parameters<LogFn>);
      },
    },
    // An additional safeguard: these fields are never meant to be logged.
    redact: {
      paths: ['*.authorization', '*.password', '*.token', 'authorization', 'password', 'token'],
      censor: '***',
    },
  };
  const stderr = 2;
  if (format === 'console') {
    const stream = pretty({ sync: true, destination: stderr, messageKey: 'message', translateTime: 'HH:MM:ss.l' });
    return pino(options, stream);
  }
  // Written in batches: a write for each line would cost a tenth of the throughput. Call `flush` before the process
  // ends.
  return pino(options, destination({ dest: stderr, sync: false }));
}
