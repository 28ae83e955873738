import { Tally } from '../../util/tally.js';
import type { DueKey } from './due-keys.js';

/** Maximum copies that the queue has not answered yet: enough to keep every host busy. */
const MAX_OUTSTANDING = 1_000;
/** Maximum for one source registry: copies from other registries, and new ones, must not wait behind thousands. */
const MAX_PER_HOST = 100;
/** Part of a limit that is reserved for namespaces with few outstanding copies when others have used it up. */
const RESERVED_PART = 0.25;

type KeyOwner = Pick<DueKey, 'host' | 'share'>;

/** The copies that the queue has not answered yet: limited in total and per registry, with a reserve per namespace. */
export class Outstanding {
  private readonly asked = new Map<string, KeyOwner>();
  private readonly counts = new Tally();

  has(key: string): boolean {
    return this.asked.has(key);
  }

  hasRoom({ host, share }: KeyOwner): boolean {
    return (
      hasRoom(this.asked.size, MAX_OUTSTANDING, this.counts.of(ofShare(share))) &&
      hasRoom(this.counts.of(ofHost(host)), MAX_PER_HOST, this.counts.of(ofBoth(share, host)))
    );
  }

  add(key: string, asked: KeyOwner): void {
    this.asked.set(key, asked);
    this.count(asked, 1);
  }

  /** @returns whether it existed */
  delete(key: string): boolean {
    const asked = this.asked.get(key);
    if (asked === undefined) return false;
    this.asked.delete(key);
    this.count(asked, -1);
    return true;
  }

  private count({ host, share }: KeyOwner, by: 1 | -1): void {
    for (const name of [ofShare(share), ofHost(host), ofBoth(share, host)]) this.counts.change(name, by);
  }
}

function hasRoom(count: number, limit: number, own: number): boolean {
  const reserve = limit * RESERVED_PART;
  return count < limit || (own < reserve && count < limit + reserve);
}

// Hosts and namespaces contain no spaces.
const ofShare = (share: string): string => `share ${share}`;
const ofHost = (host: string): string => `host ${host}`;
const ofBoth = (share: string, host: string): string => `both ${share} ${host}`;
