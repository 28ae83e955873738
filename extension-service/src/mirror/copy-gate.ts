import type { CopyFailure } from '../registry/copy-failure.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Claim } from './queue.js';
import type { MirrorResult } from './status.js';

/**
 * The role of this replica for copies. `alone`: it makes the copies for its own requests, because there is no cluster,
 * or no Lease is available. `leader`: it also copies the images that the cluster uses. `follower`: another replica
 * copies. `starting`: not known yet.
 */
export type CopyRole = 'starting' | 'alone' | 'leader' | 'follower';

interface Copies {
  enqueue(job: MirrorJob, claim?: Claim): Promise<MirrorResult>;
  release(key: string, awaiting: object): void;
  handBack(): readonly MirrorJob[];
  takeOver(): void;
}

/** The known facts about the Pod that needs a copy. */
export interface CopyRequest {
  /** The admission does not answer before the copy has ended, or its deadline has passed. */
  readonly isAwaited: boolean;
  /** The Pod will name the target instead of the source, regardless of the copy's result. */
  readonly swapped: boolean;
}

export interface CopyStart {
  /** Another replica copies it once it sees the Pod. */
  readonly handedOver: boolean;
  /** Never rejects. */
  readonly result: Promise<MirrorResult>;
  /** The admission no longer waits. */
  readonly release?: () => void;
}

/** Maximum copies held before the role is known; the leader finds the rest in the cluster. */
const MAX_HELD_JOBS = 1_000;

const HANDED_OVER_FAILURE: CopyFailure = {
  reason: 'stopped',
  message: 'the leader copies it when it sees the Pod',
  retryable: true,
};

/**
 * Passes an admission's copies to the queue, or leaves them to the leader, which sees the Pod a moment later. While an
 * admission waits for a copy, the replica that received the request owns the copy: the Pod does not exist before the
 * answer. Copies that the leader can never derive from the cluster stay with this replica.
 */
export class CopyGate {
  private held: (() => void)[] = [];

  /** @param watched whether the leader would make the copy when it sees the Pod */
  constructor(
    private readonly queue: Copies,
    private role: CopyRole,
    private readonly watched: (job: MirrorJob, request: CopyRequest) => boolean = () => true,
  ) {}

  get current(): CopyRole {
    return this.role;
  }

  enqueue(job: MirrorJob, request: CopyRequest): CopyStart {
    const exclusive = !this.watched(job, request);
    if (request.isAwaited) {
      const awaiting = {};
      const result = this.queue.enqueue(job, { exclusive, awaiting });
      return { handedOver: false, result, release: () => this.queue.release(job.key, awaiting) };
    }
    if (exclusive || this.role === 'alone' || this.role === 'leader') {
      return { handedOver: false, result: this.queue.enqueue(job, { exclusive }) };
    }
    if (this.role === 'starting' && this.held.length < MAX_HELD_JOBS) {
      this.held.push(() => void this.queue.enqueue(job));
    }
    return { handedOver: true, result: Promise.resolve({ ok: false, failure: HANDED_OVER_FAILURE }) };
  }

  /** @returns the copies that the queue leaves to the leader */
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
