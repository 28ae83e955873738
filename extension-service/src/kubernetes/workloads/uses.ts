import { decide } from '../../core/decide/decide.js';
import type { ContainerDecision, KeepReason, Mirror } from '../../core/decide/decide.js';
import { IMAGE_PLACES, readPath, withImage } from '../../core/decide/image-places.js';
import { isObject } from '../../core/decide/pod.js';
import type { Json, JsonObject } from '../../core/decide/pod.js';
import type { Rules } from '../../core/decide/rules.js';
import { formatReference } from '../../core/image/reference.js';
import { targetReference } from '../../core/naming/name.js';
import type { MirrorJob } from '../../core/decide/mirror-job.js';
import { mirrorJob, pullContext } from '../../core/decide/mirror-job.js';
import type { Origin, Sources } from './sources.js';

/** The images that a Pod, or the Pods of a template, need in the targets. */
export interface Uses {
  readonly jobs: readonly MirrorJob[];
  /** Keys of jobs whose sources are only inferred from names in a target: these images may not be mirrors. */
  readonly uncertain: ReadonlySet<string>;
  /** Images in a target whose sources are unknown. */
  readonly unknown: readonly string[];
}

/**
 * The same decision as at admission, for existing objects. Swapped containers are already decided: their images must be
 * in the target that they name, even if a filter or another target would now apply.
 */
export function usesOf(rules: Rules, sources: Sources, pod: JsonObject, namespace: string): Uses {
  const { pod: restored, mirrored, unknown } = restore(pod, (image) => sources.find(rules, image));
  const pull = pullContext(pod, namespace);
  const jobs = new Map<string, MirrorJob>();
  const uncertain = new Set<string>();
  for (const decision of decide(rules, { pod: restored, namespace, operation: 'CREATE' })) {
    const origin = mirrored.get(placeOf(decision.container));
    const needed = origin === undefined ? decision : inTarget(decision, origin);
    if (needed.action !== 'mirror') continue;
    if (origin === undefined) sources.learn(needed.target, needed.source, needed.reference);
    if (needed.target.copyPolicy === 'none') continue;
    const job = mirrorJob(needed, pull);
    const isCertain = origin?.certain !== false;
    if (isCertain) uncertain.delete(job.key);
    else if (!jobs.has(job.key)) uncertain.add(job.key);
    // Never overwrites an image that may not be a mirror.
    const force = (isCertain && job.force) || (jobs.get(job.key)?.force ?? false);
    jobs.set(job.key, { ...job, force });
  }
  return { jobs: [...jobs.values()], uncertain: uncertain.size === 0 ? NONE : uncertain, unknown };
}

/** Shared by all objects without any. */
const NONE: ReadonlySet<string> = new Set();

/** Reasons that a change of the configuration or the Pod can cause for containers that were swapped before. */
const TEMPORARY_REASONS: ReadonlySet<KeepReason> = new Set(['filtered', 'no-target', 'volumes-off', 'platform']);

type Mirrored = Origin & { readonly kind: 'mirrored' };

function inTarget(decision: ContainerDecision, { source, target }: Mirrored): ContainerDecision {
  const isDecided = decision.action === 'mirror' || TEMPORARY_REASONS.has(decision.reason);
  if (!isDecided) return decision;
  const { container, warnings } = decision;
  const reference = targetReference(target.naming, source);
  return { action: 'mirror', container, source, target, reference, warnings } satisfies Mirror;
}

interface RestoredImages {
  /** The Pod with sources in place of swapped images; the same object if there are none. */
  readonly pod: JsonObject;
  readonly mirrored: ReadonlyMap<string, Mirrored>;
  readonly unknown: readonly string[];
}

function restore(pod: JsonObject, find: (image: string) => Origin): RestoredImages {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const mirrored = new Map<string, Mirrored>();
  const unknown: string[] = [];
  const lists: Record<string, Json | undefined> = {};
  for (const place of IMAGE_PLACES) {
    const entries = lists[place.list] ?? spec[place.list];
    if (!Array.isArray(entries)) continue;
    lists[place.list] = entries.map((entry: Json, index): Json => {
      const image = isObject(entry) ? readPath(entry, place.image) : undefined;
      if (!isObject(entry) || typeof image !== 'string') return entry;
      const origin = find(image);
      if (origin.kind === 'unknown') unknown.push(image);
      if (origin.kind !== 'mirrored') return entry;
      mirrored.set(placeOf({ list: place.key, index }), origin);
      return withImage(entry, place.image, formatReference(origin.source));
    });
  }
  return { pod: mirrored.size === 0 ? pod : { ...pod, spec: { ...spec, ...lists } }, mirrored, unknown };
}

function placeOf({ list, index }: { readonly list: string; readonly index: number }): string {
  return `${list}/${index}`;
}
