import type { TargetReference } from '../core/naming/name.js';
import { CircuitBreaker } from './breaker.js';
import { BoundedMap } from '../util/bounded-map.js';

/** Whether a target has a reference, and how this is known. */
export type Existence =
  | { readonly state: 'present'; readonly digest?: string; readonly from: 'memory' | 'registry' | 'copy' }
  /** `archived` continues the image's name: a cloud stores it where it cannot be pulled. */
  | { readonly state: 'absent'; readonly from: 'memory' | 'registry'; readonly archived?: string }
  | { readonly state: 'unknown'; readonly reason: UnknownReason; readonly message: string };

export type UnknownReason =
  'unauthorized' | 'forbidden' | 'throttled' | 'unreachable' | 'timeout' | 'breaker-open' | 'other';

/** Queries the registry itself; undefined if it does not have the manifest. Not every registry returns the digest. */
export interface TargetLookup {
  head(
    target: string,
    reference: TargetReference,
    signal: AbortSignal,
  ): Promise<{ readonly digest?: string } | undefined>;
  /** Classifies a rejection of `head`. */
  classify(error: unknown): { readonly reason: UnknownReason; readonly message: string };
}

export interface ExistenceOptions {
  /** Milliseconds for which a positive answer is valid, plus or minus a fifth. @default 60000 */
  readonly positiveLife?: number;
  /** Milliseconds for which a negative answer is valid. @default 5000 */
  readonly negativeLife?: number;
  /** Maximum answers to remember; the oldest are dropped first. @default 50000 */
  readonly capacity?: number;
  /**
   * Milliseconds after which a target lookup is aborted, even though its request has already continued.
   * @default 5000
   */
  readonly timeout?: number;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly onLookup?: (target: string, outcome: string) => void;
  /** A target lookup failed; called once for all that waited for it. */
  readonly onFailure?: (target: string, reason: UnknownReason, message: string) => void;
}

interface CachedLookup {
  readonly found: { readonly digest?: string } | undefined;
  readonly from: 'registry' | 'copy';
  readonly until: number;
}

/**
 * Caches lookups in targets. Concurrent lookups of one reference share a HEAD request; a circuit breaker stops lookups
 * to a target that is down. Our own copies are known at once; deleted images are noticed within the lifetime of an
 * answer.
 */
export class ExistenceIndex {
  private readonly memory: BoundedMap<string, CachedLookup>;
  private readonly flights = new Map<string, Promise<Existence>>();
  private readonly breakers = new Map<string, CircuitBreaker>();
  private readonly now: () => number;
  private readonly random: () => number;

  constructor(
    private readonly registry: TargetLookup,
    private readonly options: ExistenceOptions = {},
  ) {
    this.memory = new BoundedMap(options.capacity ?? 50_000);
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
  }

  /** The state that is known without a request. */
  known(reference: TargetReference): Existence | undefined {
    const entry = this.memory.get(reference.text);
    if (entry === undefined) return undefined;
    if (entry.until <= this.now()) {
      this.memory.delete(reference.text);
      return undefined;
    }
    if (entry.found === undefined) return { state: 'absent', from: 'memory' };
    return { state: 'present', ...entry.found, from: entry.from === 'copy' ? 'copy' : 'memory' };
  }

  /**
   * Never rejects. If `deadline` (a promise) ends first, the answer is unknown, while the lookup continues and is
   * cached for the next caller.
   */
  async find(target: string, reference: TargetReference, deadline: Promise<void>): Promise<Existence> {
    const known = this.known(reference);
    if (known !== undefined) {
      this.options.onLookup?.(target, `${known.state}-memory`);
      return known;
    }
    const late: Existence = {
      state: 'unknown',
      reason: 'timeout',
      message: `${reference.registry} did not respond in time`,
    };
    const answer = await Promise.race([this.look(target, reference), deadline.then(() => late)]);
    this.options.onLookup?.(target, answer.state === 'unknown' ? answer.reason : answer.state);
    return answer;
  }

  /** Our own copy has just pushed it. */
  learn(reference: TargetReference, digest: string): void {
    this.remember(reference.text, { digest }, 'copy');
  }

  forget(reference: TargetReference): void {
    this.memory.delete(reference.text);
  }

  get size(): number {
    return this.memory.size;
  }

  private look(target: string, reference: TargetReference): Promise<Existence> {
    const pending = this.flights.get(reference.text);
    if (pending !== undefined) return pending;
    const breaker = this.breaker(target);
    if (!breaker.allows()) {
      const message = `${reference.registry} has not responded recently; the service asks again in a few seconds`;
      return Promise.resolve({ state: 'unknown', reason: 'breaker-open', message });
    }
    const flight = this.ask(target, reference, breaker).finally(() => this.flights.delete(reference.text));
    this.flights.set(reference.text, flight);
    return flight;
  }

  private async ask(target: string, reference: TargetReference, breaker: CircuitBreaker): Promise<Existence> {
    try {
      const signal = AbortSignal.timeout(this.options.timeout ?? 5_000);
      const found = await this.registry.head(target, reference, signal);
      breaker.succeeded();
      this.remember(reference.text, found, 'registry');
      return found === undefined
        ? { state: 'absent', from: 'registry' }
        : { state: 'present', ...found, from: 'registry' };
    } catch (error) {
      const { reason, message } = this.registry.classify(error);
      if (reason === 'unreachable' || reason === 'timeout') breaker.failed();
      else breaker.succeeded();
      this.options.onFailure?.(target, reason, message);
      return { state: 'unknown', reason, message };
    }
  }

  private remember(key: string, found: CachedLookup['found'], from: CachedLookup['from']): void {
    const life =
      found === undefined
        ? (this.options.negativeLife ?? 5_000)
        : (this.options.positiveLife ?? 60_000) * (0.8 + 0.4 * this.random());
    this.memory.set(key, { found, from, until: this.now() + life });
  }

  private breaker(target: string): CircuitBreaker {
    let breaker = this.breakers.get(target);
    if (breaker === undefined) {
      breaker = new CircuitBreaker({ now: this.now });
      this.breakers.set(target, breaker);
    }
    return breaker;
  }
}
