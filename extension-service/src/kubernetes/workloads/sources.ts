import type { Rules, TargetRule } from '../../core/decide/rules.js';
import { InvalidReferenceError, parseReference } from '../../core/image/reference.js';
import type { Reference } from '../../core/image/reference.js';
import { refusalOf, sourceOf } from '../../core/naming/name.js';
import type { TargetReference } from '../../core/naming/name.js';
import type { NamingTarget } from '../../core/naming/target.js';
import type { MirrorJob } from '../../core/decide/mirror-job.js';
import { BoundedMap } from '../../util/bounded-map.js';

/** The image of a running container. */
export type Origin =
  /** In no target: it is a source itself. */
  | { readonly kind: 'source' }
  /** In a target, made from the source; unless `certain`, its name only reads as if it were. */
  | { readonly kind: 'mirrored'; readonly source: Reference; readonly target: TargetRule; readonly certain: boolean }
  /** In a target under a name that does not say what it was made from. */
  | { readonly kind: 'unknown' };

/** Shortened names that are remembered with their sources; few images have names so long. */
const MAX_SHORTENED = 10_000;

/**
 * Pods that were swapped show target names only. These are turned back into sources: most names read back, and the
 * shortened ones, which carry a hash, were seen going there, from the template of the Pod's owner, which still has the
 * source, or from an admission. One that nobody saw stays unknown: its Pod got the name while the target had the image,
 * so nothing is missing until somebody deletes it there.
 */
export class Sources {
  private readonly shortened = new BoundedMap<string, { readonly registry: string; readonly repository: string }>(
    MAX_SHORTENED,
  );

  /** Remembers where a source goes, for the names that do not read back. */
  learn(target: TargetRule, source: Reference, reference: TargetReference): void {
    if (readsBack(target.naming, reference)) return;
    const key = place(target, reference.repository);
    this.shortened.set(key, { registry: source.registry, repository: source.repository });
  }

  /** The same of a copy that an admission asked for. */
  learnJob(target: TargetRule, { source, reference }: MirrorJob): void {
    this.learn(target, parseReference(source), reference);
  }

  find(rules: Rules, image: string): Origin {
    let reference: Reference;
    try {
      reference = parseReference(image);
    } catch (error) {
      if (error instanceof InvalidReferenceError) return { kind: 'source' };
      throw error;
    }
    const naming = rules.origins.find(reference);
    if (naming === undefined) return { kind: 'source' };
    const target = rules.targets.find((rule) => rule.naming === naming);
    if (target === undefined) return { kind: 'unknown' };
    const read = sourceOf(naming, reference);
    const source = read ?? this.expand(target, reference);
    if (source === undefined || refusalOf(naming, source) !== undefined) return { kind: 'unknown' };
    return { kind: 'mirrored', source, target, certain: read === undefined || isCertain(naming) };
  }

  private expand(target: TargetRule, { repository, tag, digest }: Reference): Reference | undefined {
    const name = this.shortened.get(place(target, repository));
    return name && { ...name, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
  }
}

/** Whether the source of a target's name is known by the name alone. */
export function readsBack(naming: NamingTarget, reference: TargetReference): boolean {
  return sourceOf(naming, reference) !== undefined;
}

/**
 * Below paths of its own a target has nothing but mirrors. One without has other repositories too, and `acme.io/app` may
 * be somebody's own work and no mirror of https://acme.io.
 */
export function isCertain({ path, paths }: NamingTarget): boolean {
  return path !== '' || paths !== undefined;
}

function place(target: TargetRule, repository: string): string {
  return `${target.naming.host}/${repository}`;
}
