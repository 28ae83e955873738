import type { Platforms } from '../config/model.js';
import { formatReference } from '../image/reference.js';
import type { TargetReference } from '../naming/name.js';
import type { Mirror } from './decide.js';
import { imagePullSecretNames, serviceAccountName } from './pod.js';
import type { JsonObject } from './pod.js';

/** Checks of an image that the target already has, the strictest first. */
export const PRESENCE_CHECKS = ['bytes', 'tree', 'due'] as const;

/** One image to be mirrored: plain data, because it is sent to the background worker. */
export interface MirrorJob {
  /** Equal for all requests for the same copy. */
  readonly key: string;
  /** Fully normalized source reference. */
  readonly source: string;
  /** Name of the target. */
  readonly target: string;
  readonly reference: TargetReference;
  readonly platforms: Platforms;
  /** Copy even if the target already has the reference. */
  readonly force: boolean;
  /**
   * How an existing image is checked; missing parts are copied. `tree`: every manifest and blob. `bytes`: also the
   * first byte of every blob. `due`: like `tree`, unless an earlier run did so within `mirror.audit.interval`. Absent:
   * its name only.
   */
  readonly presenceCheck?: (typeof PRESENCE_CHECKS)[number];
  /**
   * Look for signatures, attestations and SBOMs of every manifest, in every form; otherwise only for those of the image
   * itself.
   */
  readonly allReferrers?: true;
  /** The Pod whose pull secrets may read the source. */
  readonly pull?: PullContext;
}

export interface PullContext {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly secretNames: readonly string[];
  /**
   * Only an unauthenticated request claims that this Pod exists. Its secrets are read only after the API server has
   * shown the Pod.
   */
  readonly unproven?: true;
}

/** The copy that a decision asks for. */
export function mirrorJob(mirror: Mirror, pull?: PullContext): MirrorJob {
  return {
    key: mirrorJobKey(mirror.reference, mirror.target.platforms),
    source: formatReference(mirror.source),
    target: mirror.target.config.name,
    reference: mirror.reference,
    platforms: mirror.target.platforms,
    force: mirror.target.copyPolicy === 'force' || needsFreshLookup(mirror),
    ...(mirror.target.copyPolicy === 'force' && { presenceCheck: 'bytes' as const }),
    ...(pull !== undefined && { pull }),
  };
}

/**
 * `imagePullPolicy: Always` on a tag requests the tag's current image; the copier compares digests and sends nothing
 * that is equal.
 */
export function needsFreshLookup(mirror: Mirror): boolean {
  return mirror.container.imagePullPolicy === 'Always' && mirror.source.digest === undefined;
}

/** One job that covers both. */
export function mergeJobs(known: MirrorJob, job: MirrorJob): MirrorJob {
  const pull = job.pull?.unproven === true ? (known.pull ?? job.pull) : (job.pull ?? known.pull);
  const presenceCheck = strictestCheck(known, job);
  return {
    ...known,
    force: known.force || job.force,
    ...(presenceCheck !== undefined && { presenceCheck }),
    ...((known.allReferrers ?? job.allReferrers) === true && { allReferrers: true as const }),
    ...(pull !== undefined && { pull }),
  };
}

/** The scope of a copy. */
type Coverage = Pick<MirrorJob, 'force' | 'presenceCheck' | 'allReferrers'>;

/** Whether a job needs more than another one covers. */
export function needsMore(job: Coverage, covered: Coverage): boolean {
  if (job.force && !covered.force) return true;
  if (job.allReferrers === true && covered.allReferrers !== true) return true;
  return strictestCheck(covered, job) !== covered.presenceCheck;
}

function strictestCheck(one: Coverage, other: Coverage): MirrorJob['presenceCheck'] {
  return PRESENCE_CHECKS.find((check) => check === one.presenceCheck || check === other.presenceCheck);
}

/** The namespace, ServiceAccount and Secrets that can read the images of a Pod. */
export function pullContext(pod: JsonObject, namespace: string): PullContext {
  return { namespace, serviceAccount: serviceAccountName(pod), secretNames: imagePullSecretNames(pod) };
}

export function mirrorJobKey(reference: TargetReference, platforms: Platforms): string {
  return `${reference.text} ${platforms === 'all' ? 'all' : [...platforms].sort().join(',')}`;
}

/** host[:port] that a job reads from. */
export function sourceHost({ source }: MirrorJob): string {
  return source.slice(0, source.indexOf('/'));
}

/** host[:port] that a job writes to. */
export function targetHost({ reference }: MirrorJob): string {
  return reference.registry;
}
