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
  /** In a target, copied from the source; unless `certain`, only its name suggests this. */
  | { readonly kind: 'mirrored'; readonly source: Reference; readonly target: TargetRule; readonly certain: boolean }
  /** In a target, with a name that does not contain its source. */
  | { readonly kind: 'unknown' };

/** Maximum shortened names to remember with their sources; few images have names this long. */
const MAX_SHORTENED = 10_000;

/**
 * Swapped Pods contain only target names. These are converted back to sources. Most names can be converted; the
 * shortened ones, which contain a hash, were seen before, in the template of the Pod's owner, which still names the
 * source, or in an admission. Otherwise the source stays unknown: the Pod got the name while the target had the image,
 * so nothing is missing until someone deletes it there.
 */
export class Sources {
  private readonly shortened = new BoundedMap<string, { readonly registry: string; readonly repository: string }>(
    MAX_SHORTENED,
  );

  /** Remembers the target name of a source, for names that cannot be converted back. */
  learn(target: TargetRule, source: Reference, reference: TargetReference): void {
    if (isReversible(target.naming, reference)) return;
    const key = place(target, reference.repository);
    this.shortened.set(key, { registry: source.registry, repository: source.repository });
  }

  /** The same for a copy that an admission requested. */
  recordJob(target: TargetRule, { source, reference }: MirrorJob): void {
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

/** Whether the name alone identifies the source. */
export function isReversible(naming: NamingTarget, reference: TargetReference): boolean {
  return sourceOf(naming, reference) !== undefined;
}

/**
 * A target with its own path contains only mirrors. A target without one also contains other repositories, and
 * `acme.io/app` may be someone's own image and not a mirror of https://acme.io.
 */
export function isCertain({ path, paths }: NamingTarget): boolean {
  return path !== '' || paths !== undefined;
}

function place(target: TargetRule, repository: string): string {
  return `${target.naming.host}/${repository}`;
}
