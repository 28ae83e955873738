import { BoundedMap } from '../util/bounded-map.js';

/** Maximum registries to remember. */
const MAX_REGISTRIES = 1_000;

/** How long, in milliseconds, a registry that failed a single POST is not sent another one. */
const FAILED_MS = 600_000;

type State =
  | { readonly state: 'taken' | 'ignored' | 'on trial' }
  /** Milliseconds since the epoch. */
  | { readonly state: 'failed'; readonly until: number };

/**
 * Which registries store a blob that is the body of the POST (OCI distribution-spec, "Single POST"). The specification
 * allows a registry to ignore the body and to begin an upload instead, as distribution does. Each registry is tried
 * once, with one blob.
 */
export class SinglePosts {
  readonly #registries = new BoundedMap<string, State>(MAX_REGISTRIES);

  /** @param now milliseconds since the epoch */
  constructor(private readonly now: () => number = Date.now) {}

  /**
   * Whether the next blob for a registry may be sent in a single POST. `trial`: its outcome must be reported by one of
   * the other methods, and until then the answer is `no`.
   */
  begin(host: string): 'yes' | 'trial' | 'no' {
    const known = this.#registries.get(host);
    if (known?.state === 'taken') return 'yes';
    if (known !== undefined && !(known.state === 'failed' && this.now() >= known.until)) return 'no';
    this.#registries.set(host, { state: 'on trial' });
    return 'trial';
  }

  /** The registry has stored the blob. */
  took(host: string): void {
    this.#registries.set(host, { state: 'taken' });
  }

  /** The registry has begun an upload instead. */
  ignored(host: string): void {
    this.#registries.set(host, { state: 'ignored' });
  }

  /** The registry has rejected the request, or has not stored the blob. It gets another trial later. */
  failed(host: string): void {
    this.#registries.set(host, { state: 'failed', until: this.now() + FAILED_MS });
  }

  /** The registry does not have a blob that it took. */
  lost(host: string): void {
    if (this.#registries.get(host)?.state === 'taken') this.failed(host);
  }

  /** The registry was not reached in the trial, for example because the source failed. */
  untried(host: string): void {
    if (this.#registries.get(host)?.state === 'on trial') this.#registries.delete(host);
  }
}
