import { reservedSlots } from '../core/config/copy-slots.js';
import { sourceHost, targetHost } from '../core/decide/mirror-job.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import { Tally } from '../util/tally.js';

/** Copies at once. */
export interface CopyLimits {
  readonly concurrency: number;
  /** From one source registry. @default concurrency */
  readonly perSource?: number;
  /** To one target registry. @default concurrency */
  readonly perTarget?: number;
  /** Whether the configuration sets them: then no reserve exceeds them. @default false */
  readonly strict?: { readonly perSource: boolean; readonly perTarget: boolean };
}

/** The used copy slots: in total, by registry, and by share. */
export class Slots {
  private readonly shares = new Tally();
  private readonly sources = new Tally();
  private readonly targets = new Tally();
  private running = 0;

  constructor(private limits: CopyLimits) {}

  configure(limits: CopyLimits): void {
    this.limits = limits;
  }

  get isIdle(): boolean {
    return this.running === 0;
  }

  heldBy(share: string): number {
    return this.shares.of(share);
  }

  /** Whether a namespace may have one more slot. */
  mayStart(share: string): boolean {
    const { concurrency } = this.limits;
    return hasRoom(this.running, concurrency, this.heldBy(share), reservedSlots(concurrency));
  }

  /** Whether a job's registries have room for one more copy of a namespace. */
  hasRoom(job: MirrorJob, share: string): boolean {
    const { concurrency, perSource = concurrency, perTarget = concurrency, strict } = this.limits;
    const reserve = reservedSlots(concurrency);
    const source = sourceHost(job);
    const target = targetHost(job);
    const atSource = this.sources.of(ofShare(share, source));
    const atTarget = this.targets.of(ofShare(share, target));
    return (
      hasRoom(this.sources.of(source), perSource, atSource, strict?.perSource === true ? 0 : reserve) &&
      hasRoom(this.targets.of(target), perTarget, atTarget, strict?.perTarget === true ? 0 : reserve)
    );
  }

  take(job: MirrorJob, share: string): void {
    this.change(job, share, 1);
  }

  release(job: MirrorJob, share: string): void {
    this.change(job, share, -1);
  }

  private change(job: MirrorJob, share: string, by: 1 | -1): void {
    this.running += by;
    this.shares.change(share, by);
    for (const [tally, host] of [
      [this.sources, sourceHost(job)],
      [this.targets, targetHost(job)],
    ] as const) {
      tally.change(host, by);
      tally.change(ofShare(share, host), by);
    }
  }
}

function hasRoom(count: number, limit: number, own: number, reserve: number): boolean {
  return count < limit || (own < Math.min(reserve, limit) && count < limit + reserve);
}

/** Hosts and namespaces contain no spaces. */
function ofShare(share: string, host: string): string {
  return `${host} ${share}`;
}
