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

/** A repository that no source can be mirrored to: a source's path begins with a host. */
export const PROBE_REPOSITORY = 'image-swapper-check';
