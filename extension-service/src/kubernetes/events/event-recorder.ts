import { systemClock } from '../clock.js';
import type { Clock } from '../clock.js';
import type { CopyUpdate } from '../copy-update.js';
import { EventError } from './api.js';
import type { EventsApi } from './api.js';
import type { ObjectReference } from '../object-reference.js';
import { copyEvents } from './copy-event.js';
import { queueLossEvent } from './copy-event.js';
import type { CopyEvent } from './copy-event.js';
import { EventSender } from './event-sender.js';
import { SPAM_FILTER, SpamFilter } from './spam-filter.js';
import { messageOf } from '../../util/message-of.js';
import { BoundedMap } from '../../util/bounded-map.js';

export type EventLog = (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;

export interface EventRecorderOptions {
  readonly api: EventsApi;
  readonly log: EventLog;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** An Event that waits to be sent. If the same happens again in the meantime, only its count increases. */
interface WaitingEvent {
  event: CopyEvent;
  times: number;
}

/** Maximum waiting Events; the oldest are dropped first. */
const MAX_QUEUED = 1_000;
/** For all objects together: client-go's default limit for a client. */
const GLOBAL = { burst: 50, refill: 200, capacity: 1 };
/** Milliseconds before retrying after missing rights. */
const RIGHTS_RETRY_MS = 3_600_000;
/** Interval between two log lines about dropped Events. */
const LOSS_REPORT_INTERVAL_MS = 60_000;
/** How long a stop waits for the remaining Events. */
const FLUSH_TIMEOUT_MS = 2_000;

/**
 * Reports the results of copies as Events on the workloads. Never waits and never fails: excess Events are dropped and
 * counted, since Events are a convenience and everyone shares the API server.
 */
export class EventRecorder {
  private readonly waiting = new BoundedMap<string, WaitingEvent>(MAX_QUEUED, () => this.drop());
  private readonly perObject = new SpamFilter(SPAM_FILTER);
  private readonly global = new SpamFilter(GLOBAL);
  private readonly abort = new AbortController();
  private readonly clock: Clock;
  private readonly sender: EventSender;
  private sending: Promise<void> | undefined;
  private stopping = false;
  private pausedUntil = -Infinity;
  private forbidden = false;
  private dropped = 0;
  private cancelDropReport: (() => void) | undefined;

  constructor(private readonly options: EventRecorderOptions) {
    this.clock = options.clock ?? systemClock;
    this.sender = new EventSender({ ...options, clock: this.clock, signal: this.abort.signal });
  }

  record(news: CopyUpdate): void {
    this.send(copyEvents(news, this.clock.date().getTime()));
  }

  /** The queue server cannot be used. @param lease the Lease to report it on; its holder copies in the meantime */
  recordQueueLoss(lease: ObjectReference, message: string): void {
    this.send([queueLossEvent(lease, message)]);
  }

  private send(events: readonly CopyEvent[]): void {
    if (this.stopping || this.clock.now() < this.pausedUntil) return;
    for (const event of events) this.add(event);
    if (this.waiting.size > 0) this.sending ??= this.sendAll();
  }

  /** Sends as many as possible within two seconds. */
  async stop(): Promise<void> {
    this.stopping = true;
    const cancel = this.clock.after(FLUSH_TIMEOUT_MS, () => this.abort.abort());
    await this.sending;
    cancel();
    this.abort.abort();
    this.dropped += this.waiting.size;
    this.waiting.clear();
    this.reportDropped();
  }

  private add(event: CopyEvent): void {
    const key = `${event.namespace}/${event.name}`;
    const known = this.waiting.get(key);
    if (known !== undefined) {
      known.event = event;
      known.times += 1;
      return;
    }
    if (!this.perObject.take(event.object.uid, this.clock.now())) return this.drop();
    this.waiting.set(key, { event, times: 1 });
  }

  private async sendAll(): Promise<void> {
    for (;;) {
      const wait = this.global.wait('', this.clock.now());
      if (wait > 0) await this.sender.pause(wait);
      const next = this.waiting.entries().next();
      if (next.done || this.abort.signal.aborted) break;
      const [key, { event, times }] = next.value;
      this.waiting.delete(key);
      await this.sendOne(event, times);
    }
    this.sending = undefined;
  }

  private async sendOne(event: CopyEvent, times: number): Promise<void> {
    const { log } = this.options;
    try {
      await this.sender.send(event, times, () => this.global.spend('', this.clock.now()));
      if (this.forbidden) log('info', 'writing Events works again');
      this.forbidden = false;
    } catch (error) {
      const message = messageOf(error);
      if (error instanceof EventError && error.kind === 'forbidden') {
        this.pausedUntil = this.clock.now() + RIGHTS_RETRY_MS;
        this.waiting.clear();
        if (!this.forbidden) log('warn', `Events are paused for an hour: ${message}; or set events.enabled to false`);
        this.forbidden = true;
        return;
      }
      log('debug', `dropped an Event: ${message}`);
      // Ignore Events for deleted objects.
      if (!(error instanceof EventError) || error.kind !== 'absent') this.drop();
    }
  }

  private drop(): void {
    this.dropped += 1;
    this.cancelDropReport ??= this.clock.after(LOSS_REPORT_INTERVAL_MS, () => this.reportDropped());
  }

  private reportDropped(): void {
    this.cancelDropReport?.();
    this.cancelDropReport = undefined;
    if (this.dropped > 0) {
      this.options.log(
        'info',
        `dropped ${this.dropped} Events: too many at once, or the API server did not accept them`,
      );
    }
    this.dropped = 0;
  }
}
