import { decideContainer } from '../core/decide/decide.js';
import type { Rules, TargetRule } from '../core/decide/rules.js';
import type { CopyOutcome } from '../mirror/copier.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import { mirrorJob } from '../core/decide/mirror-job.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import { table } from './output.js';

/** A row of the command's result. */
export interface MirrorRow {
  readonly image: string;
  readonly reference?: string;
  readonly state: 'mirrored' | 'up-to-date' | 'kept' | 'would-mirror' | 'held' | 'denied' | 'failed';
  readonly detail: string;
  readonly digest?: string;
  readonly platforms?: CopyOutcome['platforms'];
  readonly bytes?: CopyOutcome['bytes'];
  /** Parts of the image that the target had lost, and that were copied again. */
  readonly repaired?: readonly string[];
  /** Signatures, attestations and SBOMs that failed for a temporary reason: run the command again with --audit. */
  readonly unfinished?: readonly string[];
}

/** An image with its target, or with the reason why it has none. */
export type Planned = PlannedCopy | { readonly row: MirrorRow };

export interface PlannedCopy {
  readonly image: string;
  readonly job: MirrorJob;
  /**
   * The ways in which its users may pull it, in the order to try; if empty, only the configuration's credentials are
   * used.
   */
  readonly pulls: readonly PullContext[];
}

/**
 * How an image that the target has is checked. `parts`: every manifest and blob. `audit`: also the signatures, attestations
 * and SBOMs of every manifest. `due`: an audit once per `mirror.audit.interval`.
 */
export type CheckDepth = 'parts' | 'audit' | 'due';

/** The target reference of a named image. */
export function planImage(rules: Rules, image: string, depth: CheckDepth = 'parts'): Planned {
  const container = { list: 'containers' as const, index: 0, name: '', image, object: { image } };
  // Filters apply to Pods, and there is none here: an image that is named explicitly is copied.
  const decision = decideContainer({ ...rules, filters: [] }, {}, container);
  if (decision.action === 'mirror' && isPullThrough(decision.target)) {
    const detail = `target ${decision.target.config.name} gets it from its source itself (paths, imageCopyPolicy none)`;
    return { row: { image, reference: decision.reference.text, state: 'kept', detail } };
  }
  // Copies the tag's current image, even if the target has an older one.
  if (decision.action === 'mirror') {
    const job = { ...withCheckDepth(mirrorJob(decision), depth), force: true };
    return { image, job, pulls: [] };
  }
  const state = decision.reason === 'in-target' ? 'kept' : 'failed';
  return { row: { image, state, detail: decision.detail } };
}

/** Whether the target is a pull-through cache; one without `paths` is filled by hand under `none`. */
function isPullThrough({ naming, copyPolicy }: TargetRule): boolean {
  return naming.paths !== undefined && copyPolicy === 'none';
}

/** The job for an image that a user names, which checks more than the image's name. */
export function withCheckDepth(job: MirrorJob, depth: CheckDepth): MirrorJob {
  const own = depth === 'due' ? 'due' : 'tree';
  return { ...job, presenceCheck: job.presenceCheck ?? own, ...(depth === 'audit' && { allReferrers: true as const }) };
}

/** Jobs that differ only in the pull secrets that they use. */
export function attempts({ job, pulls }: PlannedCopy): readonly MirrorJob[] {
  return pulls.length === 0 ? [job] : pulls.map((pull) => ({ ...job, pull }));
}

export function rowOf({ image, job }: PlannedCopy): Omit<MirrorRow, 'state' | 'detail'> {
  return { image, reference: job.reference.text };
}

/** The reason why an image was not mirrored: its gate's verdict, or that the copy failed. */
export function refusedRow(entry: PlannedCopy, { gate, message }: CopyFailure): MirrorRow {
  return { ...rowOf(entry), state: gate?.verdict ?? 'failed', detail: message };
}

export function summary(rows: readonly MirrorRow[]): string {
  const cells = rows.map(({ state, image, reference, digest, detail }) => [
    state,
    image,
    reference === undefined ? '' : `-> ${reference}`,
    digest?.slice(0, 19) ?? '',
    detail,
  ]);
  return table(cells);
}
