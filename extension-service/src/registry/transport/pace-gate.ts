import { BoundedMap } from '../../util/bounded-map.js';
import { sleep } from '../../util/sleep.js';
import { remainingOf } from '../request-log.js';
import type { RegistryAction, RateLimitHeaders } from '../request-log.js';
import { abortReason } from './abort.js';
import { maxInFlight, loweredPace, pauseOf, raisedPace, type Pace } from './pace.js';
import { waitForTurn } from './turn.js';

/** Maximum registries and actions to remember; Pods name registries. */
const MAX_GATES = 1_000;

/** Ends a request that was let through. */
export type ReportAnswer = (answer: 'given' | 'throttled' | 'none') => void;

/**
 * Keeps requests of one kind at a registry's pace. Until the registry answers "too many requests", all of them pass at
 * once.
 */
export class PaceGate {
  #pace: Pace | undefined;
  /** Maximum parallel requests that a reported budget allows. */
  #share = Infinity;
  #inFlight = 0;
  /** Earliest time of the next request; milliseconds. */
  #notBefore = 0;
  readonly #waiting = new Set<() => void>();

  constructor(private readonly now: () => number) {}

  /** Resolves when the request may be sent. Rejects with the abort's reason. */
  async waitForTurn(signal: AbortSignal | undefined): Promise<ReportAnswer> {
    signal?.throwIfAborted();
    for (let delay = this.#delay(); delay > 0; delay = this.#delay()) {
      await (delay === Infinity ? waitForTurn(this.#waiting, signal) : sleep(delay, signal));
      if (signal?.aborted !== true) continue;
      // The unused turn goes to another request.
      this.#wake();
      throw abortReason(signal);
    }
    this.#inFlight += 1;
    const startedAt = this.now();
    return (answer) => {
      if (answer === 'throttled') this.#pace = loweredPace(this.#pace, this.#inFlight, startedAt, this.now());
      else if (answer === 'given' && this.#pace !== undefined) this.#pace = raisedPace(this.#pace);
      this.#inFlight -= 1;
      this.#notBefore = this.#pace === undefined ? 0 : this.now() + pauseOf(this.#pace);
      this.#wake();
    };
  }

  /** Allows at most this many requests in flight, and at least one. */
  limitTo(share: number): void {
    this.#share = Math.max(1, share);
    this.#wake();
  }

  /** How many more requests may be sent now. */
  #room(): number {
    return Math.min(this.#share, this.#pace === undefined ? Infinity : maxInFlight(this.#pace)) - this.#inFlight;
  }

  /**
   * Milliseconds until a request may be sent; `Infinity`: an answer must come first. The clock is read once. With a second
   * reading, the delay could end between the two, and the request would wait for an answer that nobody expects.
   */
  #delay(): number {
    if (this.#room() <= 0) return Infinity;
    return this.#pace === undefined ? 0 : this.#notBefore - this.now();
  }

  /** Wakes as many waiting requests as may be sent. */
  #wake(): void {
    const free = Math.max(0, Math.min(this.#waiting.size, this.#room()));
    for (const turn of [...this.#waiting].slice(0, free)) turn();
  }
}

interface PacedResponse extends RateLimitHeaders {
  readonly statusCode?: number | undefined;
}

/** The gates of a process, by registry and action. */
export class PaceGates {
  readonly #gates = new BoundedMap<string, PaceGate>(MAX_GATES);

  /**
   * @param now milliseconds of a monotonic clock
   * @param replicas number of replicas that copy; each uses an equal part of the pulls that a registry has left
   */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly replicas: () => number = () => 1,
  ) {}

  /**
   * Sends one request at the registry's pace. The body of an upload may wait while its source is open: if the source ends
   * the connection meanwhile, the rest is requested.
   */
  async run<T extends PacedResponse>(
    host: string,
    action: RegistryAction,
    signal: AbortSignal | undefined,
    send: () => Promise<T>,
  ): Promise<T> {
    const leave = await this.#gate(host, action).waitForTurn(signal);
    try {
      const response = await send();
      this.#budget(host, response);
      leave(response.statusCode === THROTTLED ? 'throttled' : 'given');
      return response;
    } catch (error) {
      leave('none');
      throw error;
    }
  }

  /**
   * Docker Hub reports the remaining pulls with every response for a manifest. Each replica then reads at most its part
   * of them in parallel: other replicas use the same account or address.
   */
  #budget(host: string, response: PacedResponse): void {
    const remaining = remainingOf(response);
    if (remaining !== undefined) this.#gate(host, 'get-manifest').limitTo(Math.floor(remaining / this.replicas()));
  }

  #gate(host: string, action: RegistryAction): PaceGate {
    const key = `${host} ${action}`;
    const known = this.#gates.get(key) ?? new PaceGate(this.now);
    this.#gates.set(key, known);
    return known;
  }
}

const THROTTLED = 429;
