import { decide } from '../../core/decide/decide.js';
import type { Mirror } from '../../core/decide/decide.js';
import { CONTAINER_LISTS, isObject } from '../../core/decide/pod.js';
import type { Json, JsonObject } from '../../core/decide/pod.js';
import type { Rules } from '../../core/decide/rules.js';
import { formatReference } from '../../core/image/reference.js';
import { targetReference } from '../../core/naming/name.js';
import type { MirrorJob } from '../../mirror/job.js';
import { mirrorJob, pullContext } from '../../mirror/mirror-job.js';
import type { Origin, Sources } from './sources.js';

/** What a Pod, or the Pods of a template, need in the targets. */
export interface Uses {
  readonly jobs: readonly MirrorJob[];
  /** Images in a target whose sources nobody knows. */
  readonly unknown: readonly string[];
}

/**
 * The same decision as at admission, made for what runs: containers that were swapped are decided by their sources, and
 * must be in the target that they name even if another one would take them now.
 */
export function usesOf(rules: Rules, sources: Sources, pod: JsonObject, namespace: string): Uses {
  const { pod: restored, mirrored, unknown } = restore(pod, (image) => sources.find(rules, image));
  const pull = pullContext(pod, namespace);
  const jobs = new Map<string, MirrorJob>();
  for (const decision of decide(rules, { pod: restored, namespace, operation: 'CREATE' })) {
    if (decision.action !== 'mirror') continue;
    const origin = mirrored.get(placeOf(decision.container));
    const needed = origin === undefined ? decision : inTarget(decision, origin);
    if (origin === undefined) sources.learn(decision.target, decision.source, decision.reference);
    if (needed.target.copyPolicy === 'none') continue;
    const job = mirrorJob(needed, pull);
    jobs.set(job.key, job);
  }
  return { jobs: [...jobs.values()], unknown };
}

type Mirrored = Origin & { readonly kind: 'mirrored' };

function inTarget(decision: Mirror, { source, target }: Mirrored): Mirror {
  if (target === decision.target) return decision;
  return { ...decision, target, reference: targetReference(target.naming, source) };
}

interface Restored {
  /** The Pod with sources in place of what was swapped; the same object when nothing was. */
  readonly pod: JsonObject;
  readonly mirrored: ReadonlyMap<string, Mirrored>;
  readonly unknown: readonly string[];
}

function restore(pod: JsonObject, find: (image: string) => Origin): Restored {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const mirrored = new Map<string, Mirrored>();
  const unknown: string[] = [];
  const lists: Record<string, Json | undefined> = {};
  for (const list of CONTAINER_LISTS) {
    const entries = spec[list];
    if (!Array.isArray(entries)) continue;
    lists[list] = entries.map((entry: Json, index): Json => {
      if (!isObject(entry) || typeof entry['image'] !== 'string') return entry;
      const origin = find(entry['image']);
      if (origin.kind === 'unknown') unknown.push(entry['image']);
      if (origin.kind !== 'mirrored') return entry;
      mirrored.set(placeOf({ list, index }), origin);
      return { ...entry, image: formatReference(origin.source) };
    });
  }
  return { pod: mirrored.size === 0 ? pod : { ...pod, spec: { ...spec, ...lists } }, mirrored, unknown };
}

function placeOf({ list, index }: { readonly list: string; readonly index: number }): string {
  return `${list}/${index}`;
}
