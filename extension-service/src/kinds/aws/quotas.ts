import type { AwsConfig } from './config.js';
import { abortReason, untilAborted } from '../../registry/transport/abort.js';
import type { PacedAction, RequestPacer } from '../../registry/pacer.js';
import type { PushRequests } from '../cloud.js';

export interface RateOptions {
  /** Requests per second; after a pause, this many may be sent at once. */
  readonly rate: number;
  readonly now?: () => number;
}

/**
 * Lets requests through at a rate, in order of arrival. If a registry still throttles (others share the quota), the
 * rate is halved; it grows back by a tenth of the quota per second.
 */
export class RateLimit {
  #tokens: number;
  #rate: number;
  #quota: number;
  #since: number;
  #slowed = -Infinity;
  #last = Promise.resolve();
  readonly #now: () => number;

  constructor({ rate, now = () => performance.now() }: RateOptions) {
    this.#quota = rate;
    this.#rate = rate;
    this.#tokens = rate;
    this.#now = now;
    this.#since = now();
  }

  /** Rejects with the abort's reason. */
  async wait(signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#last;
    let done = (): void => undefined;
    this.#last = new Promise((resolve) => (done = resolve));
    try {
      await (signal === undefined ? turn : untilAborted(turn, signal));
      for (;;) {
        signal?.throwIfAborted();
        this.#refill();
        if (this.#tokens >= 1) break;
        await pause(((1 - this.#tokens) / this.#rate) * 1_000, signal);
      }
      this.#tokens -= 1;
    } finally {
      done();
    }
  }

  recordThrottled(): void {
    this.#refill();
    // A burst of rejections counts as one sign.
    if (this.#now() - this.#slowed < 1_000) return;
    this.#slowed = this.#now();
    this.#rate = Math.max(this.#quota / 16, this.#rate / 2);
    this.#tokens = Math.min(this.#tokens, 0);
  }

  setQuota(rate: number): void {
    if (rate === this.#quota) return;
    this.#quota = rate;
    this.#rate = rate;
  }

  get rate(): number {
    return this.#rate;
  }

  #refill(): void {
    const now = this.#now();
    const seconds = (now - this.#since) / 1_000;
    this.#since = now;
    this.#tokens = Math.min(Math.max(1, this.#rate), this.#tokens + seconds * this.#rate);
    this.#rate = Math.min(this.#quota, this.#rate + (seconds * this.#quota) / 10);
  }
}

/** The limits of a process, by account, region and action: targets of one registry share them. */
export class QuotaPool {
  readonly #limits = new Map<string, RateLimit>();
  readonly #replicas: () => number;

  /** @param replicas number of replicas that copy; each uses an equal part of the quotas */
  constructor(replicas: () => number = () => 1) {
    this.#replicas = replicas;
  }

  pacer({ accountId, region, quotas }: AwsConfig): RequestPacer {
    const part = (action: PacedAction): number => rateOf(quotas, action) / this.#replicas();
    const limit = (action: PacedAction): RateLimit => {
      const rate = part(action);
      const key = `${accountId} ${region} ${action}`;
      let known = this.#limits.get(key);
      if (known === undefined) {
        known = new RateLimit({ rate });
        this.#limits.set(key, known);
      }
      known.setQuota(rate);
      return known;
    };
    const limits = {
      'put-manifest': limit('put-manifest'),
      'start-upload': limit('start-upload'),
      'finish-upload': limit('finish-upload'),
    };
    return {
      wait: (action, signal) => {
        limits[action].setQuota(part(action));
        return limits[action].wait(signal);
      },
      throttled: (action) => limits[action].recordThrottled(),
    };
  }
}

/** Names of the requests in ECR's API. */
const NAMES: Readonly<Record<PacedAction, string>> = {
  'put-manifest': 'PutImage',
  'start-upload': 'InitiateLayerUpload',
  'finish-upload': 'CompleteLayerUpload',
};

/** How long this many requests take under the quotas; the slowest quota decides. */
export function quotaTime(
  quotas: AwsConfig['quotas'],
  { manifests, blobs }: PushRequests,
): { readonly milliseconds: number; readonly limitedBy: string } {
  const needs = [
    { action: 'put-manifest', count: manifests },
    { action: 'start-upload', count: blobs },
    { action: 'finish-upload', count: blobs },
  ] as const;
  const times = needs.map(({ action, count }) => {
    const rate = rateOf(quotas, action);
    return { milliseconds: Math.round((count / rate) * 1_000), limitedBy: `${NAMES[action]} ${rate}/s` };
  });
  return times.reduce((longest, time) => (time.milliseconds > longest.milliseconds ? time : longest));
}

function rateOf(quotas: AwsConfig['quotas'], action: PacedAction): number {
  const { putImage, initiateLayerUpload, completeLayerUpload } = quotas;
  return { 'put-manifest': putImage, 'start-upload': initiateLayerUpload, 'finish-upload': completeLayerUpload }[
    action
  ];
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      if (signal !== undefined) reject(abortReason(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
