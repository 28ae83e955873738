import { createHash } from 'node:crypto';
import { BoundedMap } from '../util/bounded-map.js';
import type { Descriptor } from './types.js';

const MAX_REMEMBERED_MANIFESTS = 20_000;

/** The result of the last comparison of an image's referrers. */
export interface ComparedReferrers {
  /** Fingerprint of the source's list, if all of it was copied. */
  readonly fingerprint?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/**
 * The lists of referrers that were fully copied, so that an image with an unchanged list costs one request at its
 * source. Keys contain the target's repository and the digest.
 */
export class CopiedReferrers {
  readonly #known = new BoundedMap<string, ComparedReferrers>(MAX_REMEMBERED_MANIFESTS);

  constructor(private readonly now: () => number) {}

  get(key: string): ComparedReferrers | undefined {
    return this.#known.get(key);
  }

  isUnfinished(key: string): boolean {
    const known = this.#known.get(key);
    return known !== undefined && known.fingerprint === undefined;
  }

  /** Without a fingerprint: some referrers are unfinished, and the next comparison tries again. */
  set(key: string, fingerprint: string | undefined): void {
    this.#known.set(key, { at: this.now(), ...(fingerprint !== undefined && { fingerprint }) });
  }

  /** Whether to compare the referrers of an image again: they are unfinished, unknown, or older than `interval` ms. */
  isDue(key: string, interval: number): boolean {
    const known = this.#known.get(key);
    return known?.fingerprint === undefined || this.now() - known.at >= interval;
  }
}

/** Equal for equal sets of digests. */
export function fingerprintOf(descriptors: readonly Descriptor[]): string {
  const digests = descriptors.map(({ digest }) => digest).sort();
  return createHash('sha256').update(digests.join('\n')).digest('hex');
}
