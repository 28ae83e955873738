import type { CopyFailure } from '../registry/copy-failure.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Claim } from './queue.js';
import type { MirrorResult } from './status.js';

/**
 * The role of this replica for copies. `alone`: it copies what it is asked for, as there is no cluster, or no Lease to be
 * had. `leader`: it also copies what the cluster uses. `follower`: another replica copies. `starting`: not known yet.
 */
export type CopyRole = 'starting' | 'alone' | 'leader' | 'follower';

interface Copies {
  enqueue(job: MirrorJob, claim?: Claim): Promise<MirrorResult>;
  release(key: string, awaiting: object): void;
  handBack(): readonly MirrorJob[];
  takeOver(): void;
}

/** The known facts about the Pod that a copy is for. */
export interface CopyRequest {
  /** The admission does not answer before the copy has ended, or its deadline has passed. */
  readonly waits: boolean;
  /** The Pod will name the target, and not the source, whatever becomes of the copy. */
  readonly swapped: boolean;
}

export interface CopyStart {
  /** Another replica copies it once it sees the Pod. */
  readonly handedOver: boolean;
  /** Never rejects. */
  readonly result: Promise<MirrorResult>;
  /** The admission waits no more. */
  readonly release?: () => void;
}

/** More Pods do not come in the moment before the role is known; the leader finds the rest in the cluster. */
const MAX_HELD = 1_000;

const HANDED_OVER: CopyFailure = {
  reason: 'stopped',
  message: 'the leader copies it when it sees the Pod',
  retryable: true,
};

/**
 * Lets an admission's copies through to the queue, or leaves them to the leader, who sees the Pod itself a moment
 * later. A copy that an admission waits for is its own replica's while it waits: the Pod is not there before the
 * answer. One that the leader could not make from what it sees is so for good.
 */
export class CopyGate {
  private held: (() => void)[] = [];

  /** @param watched whether the leader would make the copy when it sees the Pod that it is for */
  constructor(
    private readonly queue: Copies,
    private role: CopyRole,
    private readonly watched: (job: MirrorJob, wish: CopyRequest) => boolean = () => true,
  ) {}

  get current(): CopyRole {
    return this.role;
  }

  enqueue(job: MirrorJob, wish: CopyRequest): CopyStart {
    const ours = !this.watched(job, wish);
    if (wish.waits) {
      const awaiting = {};
      const result = this.queue.enqueue(job, { exclusive: ours, awaiting });
      return { handedOver: false, result, release: () => this.queue.release(job.key, awaiting) };
    }
    if (ours || this.role === 'alone' || this.role === 'leader') {
      return { handedOver: false, result: this.queue.enqueue(job, { exclusive: ours }) };
    }
    if (this.role === 'starting' && this.held.length < MAX_HELD) {
      this.held.push(() => void this.queue.enqueue(job));
    }
    return { handedOver: true, result: Promise.resolve({ ok: false, failure: HANDED_OVER }) };
  }

  /** @returns what the queue leaves to the leader */
  setRole(role: CopyRole): readonly MirrorJob[] {
    const led = this.role === 'leader';
    this.role = role;
    if (role === 'starting') return led ? this.queue.handBack() : [];
    const held = this.held.splice(0);
    if (role === 'follower') return this.queue.handBack();
    this.queue.takeOver();
    for (const start of held) start();
    return [];
  }
}
