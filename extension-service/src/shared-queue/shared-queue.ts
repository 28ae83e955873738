import type { QueueConfig } from '../core/config/model.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import { messageOf } from '../util/message-of.js';
import { sleep } from '../util/sleep.js';
import { QUEUE_KINDS } from './kinds.js';
import { LOCK_MS } from './lease.js';
import { Session } from './session.js';
import type { SessionOptions } from './session.js';
import { QueueServerError } from './kind.js';
import type { QueueServerKind, ServerSettings } from './kind.js';
import { readSettings } from './settings.js';
import type { ReadSecretKey } from './settings.js';

/** `replicas`: the number of connected replicas of this install, including this one. */
export type QueueReport =
  | { readonly isUp: true; readonly replicas: number }
  /** `message` gives the reason, without a secret. */
  | { readonly isUp: false; readonly message: string };

export interface SharedQueueOptions extends Pick<SessionOptions, 'processJob' | 'onResult' | 'onGivenUp' | 'prefetch'> {
  readonly config: QueueConfig;
  readonly readSecretKey: ReadSecretKey;
  /** The id of this install, and its title for messages. Rejects while the cluster does not provide them. */
  readonly install: () => Promise<SessionOptions['install']>;
  /** Milliseconds between two checks whether the server is still fit. */
  readonly checkInterval?: number;
  /** Called each time that the report changes. */
  readonly onReport: (report: QueueReport) => void;
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

const HEARTBEAT_MS = 4_000;
/** Milliseconds without an answer after which the server counts as lost: by then every lease has expired. */
const SERVER_LOST_AFTER_MS = LOCK_MS;
const RETRY_MS = 5_000;
const CHECK_INTERVAL_MS = 60_000;
const REPEATED_LINE_MS = 60_000;

/** Keeps a connection to the queue server, and reconnects when it is lost. */
export class SharedQueue {
  private readonly abort = new AbortController();
  private session: Session | undefined;
  private last: string | undefined;
  private readonly lines = new LogRateLimiter(REPEATED_LINE_MS);
  private readonly running: Promise<void>;
  private prefetch: number;
  /** The settings of the last connection; `renew` ends that connection. */
  private usedSettings: string | undefined;
  private reconnect: AbortController | undefined;
  private endFirstTry: (() => void) | undefined;
  private readonly firstTry = new Promise<void>((resolve) => (this.endFirstTry = resolve));

  constructor(private readonly options: SharedQueueOptions) {
    this.prefetch = options.prefetch;
    this.running = this.run();
  }

  /** The session that can store jobs; undefined if there is none. Waits for the first attempt to connect. */
  async current(): Promise<Session | undefined> {
    await this.firstTry;
    return this.session;
  }

  setPrefetch(prefetch: number): void {
    this.prefetch = prefetch;
    this.session?.setPrefetch(prefetch).catch(() => undefined);
  }

  /** Reconnects if a file or Secret has changed. */
  async reconnectIfChanged(): Promise<void> {
    const { config, readSecretKey } = this.options;
    const settings = await readSettings(config, readSecretKey).catch(() => undefined);
    if (settings !== undefined && this.usedSettings !== undefined && textOf(settings) !== this.usedSettings)
      this.reconnect?.abort();
  }

  async stopTakingJobs(): Promise<void> {
    await this.session?.stopTakingJobs();
  }

  async close(): Promise<void> {
    this.abort.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.abort;
    while (!signal.aborted) {
      const message = await this.connected().catch((error: unknown) => messageOf(error));
      this.endFirstTry?.();
      if (signal.aborted) return;
      if (message === undefined) continue;
      this.report({ isUp: false, message });
      await sleep(RETRY_MS, signal, { ref: false });
    }
  }

  /** @returns why the connection ended; undefined if it only needs to be opened again */
  private async connected(): Promise<string | undefined> {
    const { config, readSecretKey, log, processJob, onResult, onGivenUp } = this.options;
    const kind = QUEUE_KINDS[config.type];
    if (kind === undefined) throw new Error(`queue.type: ${config.type} has no server`);
    const { signal } = this.abort;
    const settings = await readSettings(config, readSecretKey);
    const server = await kind.open(settings);
    const ended = new AbortController();
    this.usedSettings = textOf(settings);
    this.reconnect = ended;
    let fault: string | undefined;
    const session = await Session.open(server, {
      ...{ processJob, onResult, onGivenUp, prefetch: this.prefetch, prefix: config.prefix },
      install: await this.options.install(),
      onFault: (message) => {
        fault ??= message;
        ended.abort();
      },
      onDebug: (message) => {
        if (this.lines.shouldLog(message)) log('debug', `queue server: ${message}`);
      },
    });
    const stopChecks = this.checkRegularly(kind, settings, (message) => {
      fault ??= message;
      ended.abort();
    });
    try {
      this.session = session;
      this.endFirstTry?.();
      let lastAnswer = performance.now();
      while (!signal.aborted && !ended.signal.aborted) {
        const problem = await session.heartbeat().then(
          (replicas) => {
            lastAnswer = performance.now();
            this.report({ isUp: true, replicas });
            return undefined;
          },
          (error: unknown) => messageOf(error),
        );
        if (problem !== undefined && performance.now() - lastAnswer > SERVER_LOST_AFTER_MS) return problem;
        await sleep(HEARTBEAT_MS, AbortSignal.any([signal, ended.signal]), { ref: false });
      }
      return fault;
    } finally {
      stopChecks();
      this.session = undefined;
      await session.close();
    }
  }

  /** A server can become unfit later: its settings are changed, it becomes a replica, or a clock drifts. */
  private checkRegularly(
    kind: QueueServerKind,
    settings: ServerSettings,
    onFault: (message: string) => void,
  ): () => void {
    const check = (): void => {
      kind.open(settings).catch((error: unknown) => {
        // The heartbeat notices a server that does not answer, and new credentials matter only to new connections.
        if (error instanceof QueueServerError && error.state === 'failed') onFault(error.message);
      });
    };
    const timer = setInterval(check, this.options.checkInterval ?? CHECK_INTERVAL_MS).unref();
    return () => clearInterval(timer);
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
