import { createHash } from 'node:crypto';
import { BoundedMap } from '../util/bounded-map.js';
import type { Descriptor } from './types.js';

const MAX_KNOWN = 20_000;

/** The outcome of the last comparison of an image's referrers. */
export interface ComparedReferrers {
  /** Of the source's list, when all of it was copied. */
  readonly fingerprint?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/**
 * Which lists of referrers were copied as they are, so that an image whose list is still the same costs one request at
 * its source. Keys name the target's repository and the digest.
 */
export class CopiedReferrers {
  readonly #known = new BoundedMap<string, ComparedReferrers>(MAX_KNOWN);

  constructor(private readonly now: () => number) {}

  get(key: string): ComparedReferrers | undefined {
    return this.#known.get(key);
  }

  isUnfinished(key: string): boolean {
    const known = this.#known.get(key);
    return known !== undefined && known.fingerprint === undefined;
  }

  /** Without a fingerprint: something of it is unfinished, and the next comparison tries again. */
  set(key: string, fingerprint: string | undefined): void {
    this.#known.set(key, { at: this.now(), ...(fingerprint !== undefined && { fingerprint }) });
  }

  /** Whether the referrers of an image are to be compared again: they are unfinished, unknown, or older than `interval` ms. */
  isDue(key: string, interval: number): boolean {
    const known = this.#known.get(key);
    return known?.fingerprint === undefined || this.now() - known.at >= interval;
  }
}

/** The same for the same set of digests. */
export function fingerprintOf(descriptors: readonly Descriptor[]): string {
  const digests = descriptors.map(({ digest }) => digest).sort();
  return createHash('sha256').update(digests.join('\n')).digest('hex');
}
