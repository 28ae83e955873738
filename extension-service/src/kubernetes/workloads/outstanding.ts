import { Tally } from '../../util/tally.js';
import type { DueKey } from './due-keys.js';

/** Copies that the queue has been asked for and has not answered: enough for every host to be busy. */
const MAX_OUTSTANDING = 1_000;
/** Of one source registry: copies of another one, and new ones, are not to wait behind thousands. */
const MAX_PER_HOST = 100;
/** Part of a limit that namespaces with few outstanding copies have in addition when others have used it up. */
const RESERVED_PART = 0.25;

type KeyOwner = Pick<DueKey, 'host' | 'share'>;

/** The copies that the queue has not answered yet: bounded in all, of each registry, and with a reserve per namespace. */
export class Outstanding {
  private readonly asked = new Map<string, KeyOwner>();
  private readonly counts = new Tally();

  has(key: string): boolean {
    return this.asked.has(key);
  }

  hasRoom({ host, share }: KeyOwner): boolean {
    return (
      fits(this.asked.size, MAX_OUTSTANDING, this.counts.of(ofShare(share))) &&
      fits(this.counts.of(ofHost(host)), MAX_PER_HOST, this.counts.of(ofBoth(share, host)))
    );
  }

  add(key: string, asked: KeyOwner): void {
    this.asked.set(key, asked);
    this.count(asked, 1);
  }

  /** @returns whether it was there */
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

function fits(count: number, limit: number, own: number): boolean {
  const reserve = limit * RESERVED_PART;
  return count < limit || (own < reserve && count < limit + reserve);
}

// No host and no namespace has a space in its name.
const ofShare = (share: string): string => `share ${share}`;
const ofHost = (host: string): string => `host ${host}`;
const ofBoth = (share: string, host: string): string => `both ${share} ${host}`;
