/** One thing that was tried at a registry. */
export interface Probe {
  readonly registry: string;
  /** `read`, `push`, or what a kind adds: `identity`, the name of a permission. */
  readonly check: string;
  readonly ok: boolean;
  /** Why it is not ok: no answer came, the answer was no, or the thing does not exist. @default missing */
  readonly state?: 'unreachable' | 'refused' | 'missing' | 'failed';
  /** The finding, or the fault and its remedy. */
  readonly message: string;
}

/** Uses of a registry beside reading, by the configuration. */
export interface ProbedUses {
  /** Images are copied there. */
  readonly pushes: boolean;
  /** `gc` lists its tags and deletes images. */
  readonly deletes: boolean;
}

/** A digest that no manifest has: to delete it changes nothing, and shows whether deleting is allowed. */
export const ABSENT_DIGEST = `sha256:${'0'.repeat(64)}`;

/** A repository that no source can be mirrored to: a source's path begins with a host. */
export const PROBE_REPOSITORY = 'image-swapper-check';
