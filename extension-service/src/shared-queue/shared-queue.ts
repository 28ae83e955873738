import type { QueueConfig } from '../core/config/model.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import { messageOf } from '../util/message-of.js';
import { sleep } from '../util/sleep.js';
import { QUEUE_KINDS } from './kinds.js';
import { LOCK_MS, Session } from './session.js';
import type { SessionOptions } from './session.js';
import type { ServerSettings } from './kind.js';
import { readSettings } from './settings.js';
import type { ReadSecretKey } from './settings.js';

/** `replicas`: the number of connected replicas of this install, including this one. */
export type QueueReport =
  | { readonly isUp: true; readonly replicas: number }
  /** `message` gives the reason, without a secret. */
  | { readonly isUp: false; readonly message: string };

export interface SharedQueueOptions extends Pick<SessionOptions, 'draw' | 'onResult' | 'onGivenUp' | 'ahead'> {
  readonly config: QueueConfig;
  readonly readSecretKey: ReadSecretKey;
  /** The id of this install, and its title for messages. Rejects while the cluster does not provide them. */
  readonly install: () => Promise<SessionOptions['install']>;
  /** Called each time that the report changes. */
  readonly onReport: (report: QueueReport) => void;
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

const BEAT_MS = 4_000;
/** Milliseconds without an answer after which the server counts as lost: by then every lease has expired. */
const LOST_MS = LOCK_MS;
const RETRY_MS = 5_000;
const REPEATED_LINE_MS = 60_000;

/** Keeps a connection to the queue server, and reconnects when it is lost. */
export class SharedQueue {
  private readonly abort = new AbortController();
  private session: Session | undefined;
  private last: string | undefined;
  private readonly lines = new LogRateLimiter(REPEATED_LINE_MS);
  private readonly running: Promise<void>;
  private ahead: number;
  /** The settings of the last connection; `renew` ends that connection. */
  private used: string | undefined;
  private renew: AbortController | undefined;
  private tried: (() => void) | undefined;
  private readonly firstTry = new Promise<void>((resolve) => (this.tried = resolve));

  constructor(private readonly options: SharedQueueOptions) {
    this.ahead = options.ahead;
    this.running = this.run();
  }

  /** The session that can store jobs; undefined if there is none. Waits for the first attempt to connect. */
  async current(): Promise<Session | undefined> {
    await this.firstTry;
    return this.session;
  }

  setAhead(ahead: number): void {
    this.ahead = ahead;
    this.session?.setAhead(ahead).catch(() => undefined);
  }

  /** Reconnects if a file or Secret has changed. */
  async readAgain(): Promise<void> {
    const { config, readSecretKey } = this.options;
    const settings = await readSettings(config, readSecretKey).catch(() => undefined);
    if (settings !== undefined && this.used !== undefined && textOf(settings) !== this.used) this.renew?.abort();
  }

  async stopDrawing(): Promise<void> {
    await this.session?.stopDrawing();
  }

  async close(): Promise<void> {
    this.abort.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.abort;
    while (!signal.aborted) {
      const message = await this.connected().catch((error: unknown) => messageOf(error));
      this.tried?.();
      if (signal.aborted) return;
      if (message === undefined) continue;
      this.report({ isUp: false, message });
      await sleep(RETRY_MS, signal, { ref: false });
    }
  }

  /** @returns why the connection ended; undefined if it only needs to be opened again */
  private async connected(): Promise<string | undefined> {
    const { config, readSecretKey, log, draw, onResult, onGivenUp } = this.options;
    const kind = QUEUE_KINDS[config.type];
    if (kind === undefined) throw new Error(`queue.type: ${config.type} has no server`);
    const { signal } = this.abort;
    const settings = await readSettings(config, readSecretKey);
    const server = await kind.open(settings);
    const ended = new AbortController();
    this.used = textOf(settings);
    this.renew = ended;
    let fault: string | undefined;
    const session = await Session.open(server, {
      ...{ draw, onResult, onGivenUp, ahead: this.ahead, prefix: config.prefix },
      install: await this.options.install(),
      onFault: (message) => {
        fault ??= `the queue server or what it stores is unusable: ${message}`;
        ended.abort();
      },
      onDebug: (message) => {
        if (this.lines.shouldLog(message)) log('debug', `queue server: ${message}`);
      },
    });
    try {
      this.session = session;
      this.tried?.();
      let heard = performance.now();
      while (!signal.aborted && !ended.signal.aborted) {
        const problem = await session.beat().then(
          (replicas) => {
            heard = performance.now();
            this.report({ isUp: true, replicas });
            return undefined;
          },
          (error: unknown) => messageOf(error),
        );
        if (problem !== undefined && performance.now() - heard > LOST_MS) return problem;
        await sleep(BEAT_MS, AbortSignal.any([signal, ended.signal]), { ref: false });
      }
      return fault;
    } finally {
      this.session = undefined;
      await session.close();
    }
  }

  private report(report: QueueReport): void {
    const { log, onReport, config } = this.options;
    const text = JSON.stringify(report);
    if (!report.isUp && this.lines.shouldLog(report.message)) {
      log(
        'error',
        `queue.type ${config.type}: ${report.message}; until it can be used, the replica that holds the Lease copies alone`,
      );
    }
    if (report.isUp && this.last?.startsWith('{"isUp":true') !== true) {
      log('info', `queue.type ${config.type}: connected; ${report.replicas} replicas copy`);
    }
    if (text === this.last) return;
    this.last = text;
    onReport(report);
  }
}

function textOf(settings: ServerSettings): string {
  return JSON.stringify({ ...settings, url: settings.url.href });
}
