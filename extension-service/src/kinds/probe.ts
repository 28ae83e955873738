/** The result of one check at a registry. */
export interface Probe {
  readonly registry: string;
  /** `read`, `push`, or a check that a kind adds: `identity`, or the name of a permission. */
  readonly check: string;
  readonly ok: boolean;
  /** Why the check failed: no answer, a rejection, or a missing object. @default missing */
  readonly state?: 'unreachable' | 'refused' | 'missing' | 'failed';
  /** The finding, or the problem and its remedy. */
  readonly message: string;
}

/** Configured uses of a registry in addition to reading. */
export interface ProbedUses {
  /** Images are copied there. */
  readonly pushes: boolean;
  /** `gc` lists its tags and deletes images. */
  readonly deletes: boolean;
}

/** A digest that no manifest has: deleting it changes nothing, and shows whether deletion is allowed. */
export const ABSENT_DIGEST = `sha256:${'0'.repeat(64)}`;

/** A repository that no source is ever mirrored to: a source's path begins with a host. */
export const PROBE_REPOSITORY = 'image-swapper-check';
