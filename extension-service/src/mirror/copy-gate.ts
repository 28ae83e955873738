import type { CopyFailure } from './failure.js';
import type { MirrorJob } from './job.js';
import type { MirrorResult } from './status.js';

/**
 * What this replica is for copies. `alone`: it copies what it is asked for, as there is no cluster, or no Lease to be
 * had. `leader`: it also copies what the cluster uses. `follower`: another replica copies. `starting`: not known yet.
 */
export type CopyRole = 'starting' | 'alone' | 'leader' | 'follower';

interface Copies {
  enqueue(job: MirrorJob, awaited?: boolean): Promise<MirrorResult>;
  handBack(): readonly MirrorJob[];
}

/** More Pods do not come in the moment before the role is known; the leader finds the rest in the cluster. */
const MOST_HELD = 1_000;

const HANDED_OVER: CopyFailure = {
  reason: 'stopped',
  message: 'another replica copies it, when it sees the Pod',
  retryable: true,
};

/**
 * Lets an admission's copies through to the queue, or leaves them to the leader, who sees the Pod itself a moment
 * later. A copy that an admission waits for is always its own replica's: the Pod is not there before the answer. So is
 * one for a namespace that the leader does not look at.
 */
export class CopyGate {
  private held: (() => void)[] = [];

  /** @param watched whether the leader sees the Pod that a job is for */
  constructor(
    private readonly queue: Copies,
    private role: CopyRole,
    private readonly watched: (job: MirrorJob) => boolean = () => true,
  ) {}

  get current(): CopyRole {
    return this.role;
  }

  /** The promise never rejects. `waits`: the admission does not answer before it. */
  enqueue(job: MirrorJob, waits: boolean): { readonly handedOver: boolean; readonly result: Promise<MirrorResult> } {
    const ours = waits || !this.watched(job);
    if (ours || this.role === 'alone' || this.role === 'leader') {
      return { handedOver: false, result: this.queue.enqueue(job, ours) };
    }
    if (this.role === 'starting' && this.held.length < MOST_HELD) {
      this.held.push(() => void this.queue.enqueue(job));
    }
    return { handedOver: true, result: Promise.resolve({ ok: false, failure: HANDED_OVER }) };
  }

  /** @returns what the queue had not begun and leaves to the leader */
  become(role: CopyRole): readonly MirrorJob[] {
    const led = this.role === 'leader';
    this.role = role;
    if (role === 'starting') return led ? this.queue.handBack() : [];
    const held = this.held.splice(0);
    if (role !== 'follower') for (const start of held) start();
    return role === 'follower' ? this.queue.handBack() : [];
  }
}
