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
  /** Parts of the image that the target had lost, and has again. */
  readonly repaired?: readonly string[];
  /** Signatures, attestations and SBOMs that failed for a passing reason: run the command again with --audit. */
  readonly unfinished?: readonly string[];
}

/** An image with where it goes, or with why it goes nowhere. */
export type Planned = PlannedCopy | { readonly row: MirrorRow };

export interface PlannedCopy {
  readonly image: string;
  readonly job: MirrorJob;
  /** The ways in which its users may pull it, to be tried in turn; none: by the configuration's credentials alone. */
  readonly pulls: readonly PullContext[];
}

/**
 * How an image that the target has is checked. `parts`: every manifest and blob. `audit`: also the signatures, attestations
 * and SBOMs of every manifest. `due`: an audit once per `mirror.audit.interval`.
 */
export type Look = 'parts' | 'audit' | 'due';

/** Where an image that is named goes. */
export function planImage(rules: Rules, image: string, look: Look = 'parts'): Planned {
  const container = { list: 'containers' as const, index: 0, name: '', image, object: { image } };
  // Filters are about Pods, and here is none: an image that is asked for by name is copied.
  const decision = decideContainer({ ...rules, filters: [] }, {}, container);
  if (decision.action === 'mirror' && isPullThrough(decision.target)) {
    const detail = `target ${decision.target.config.name} gets it from its source itself (paths, imageCopyPolicy none)`;
    return { row: { image, reference: decision.reference.text, state: 'kept', detail } };
  }
  // The tag's image of now is wanted, whatever the target has.
  if (decision.action === 'mirror') {
    const job = { ...lookedAt(mirrorJob(decision), look), force: true };
    return { image, job, pulls: [] };
  }
  const state = decision.reason === 'in-target' ? 'kept' : 'failed';
  return { row: { image, state, detail: decision.detail } };
}

/** Whether the target is a pull-through cache; one without `paths` is filled by hand under `none`. */
function isPullThrough({ naming, copyPolicy }: TargetRule): boolean {
  return naming.paths !== undefined && copyPolicy === 'none';
}

/** For an image that a user asks for: more than its name is checked. */
export function lookedAt(job: MirrorJob, look: Look): MirrorJob {
  const own = look === 'due' ? 'due' : 'tree';
  return { ...job, look: job.look ?? own, ...(look === 'audit' && { allReferrers: true as const }) };
}

/** The jobs that differ in nothing but whose pull secrets they use. */
export function attempts({ job, pulls }: PlannedCopy): readonly MirrorJob[] {
  return pulls.length === 0 ? [job] : pulls.map((pull) => ({ ...job, pull }));
}

export function rowOf({ image, job }: PlannedCopy): Omit<MirrorRow, 'state' | 'detail'> {
  return { image, reference: job.reference.text };
}

/** Of an image that was not mirrored: its gate's verdict, or that the copy failed. */
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
