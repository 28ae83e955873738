import type { Rules, TargetRule } from '../../core/decide/rules.js';
import { InvalidReferenceError, parseReference } from '../../core/image/reference.js';
import type { Reference } from '../../core/image/reference.js';
import { sourceOf } from '../../core/naming/name.js';
import type { TargetReference } from '../../core/naming/name.js';
import type { MirrorJob } from '../../mirror/job.js';

/** What an image of a running container is. */
export type Origin =
  /** In no target: it is a source itself. */
  | { readonly kind: 'source' }
  /** In a target, made from the source. */
  | { readonly kind: 'mirrored'; readonly source: Reference; readonly target: TargetRule }
  /** In a target under a name that does not say what it was made from. */
  | { readonly kind: 'unknown' };

/** Shortened names that are remembered with their sources; few images have names so long. */
const MOST = 10_000;

/**
 * Pods that were swapped show target names only. These are turned back into sources: most names read back, and the
 * shortened ones, which carry a hash, were seen going there, from the template of the Pod's owner, which still has the
 * source, or from an admission. One that nobody saw stays unknown: its Pod got the name while the target had the image,
 * so nothing is missing until somebody deletes it there.
 */
export class Sources {
  private readonly shortened = new Map<string, { readonly registry: string; readonly repository: string }>();

  /** Remembers where a source goes, for the names that do not read back. */
  learn(target: TargetRule, source: Reference, reference: TargetReference): void {
    if (sourceOf(target.naming, reference) !== undefined) return;
    const key = place(target, reference.repository);
    this.shortened.delete(key);
    this.shortened.set(key, { registry: source.registry, repository: source.repository });
    const [oldest] = this.shortened.keys();
    if (this.shortened.size > MOST && oldest !== undefined) this.shortened.delete(oldest);
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
    const source = sourceOf(naming, reference) ?? this.lengthen(target, reference);
    return source === undefined ? { kind: 'unknown' } : { kind: 'mirrored', source, target };
  }

  private lengthen(target: TargetRule, { repository, tag, digest }: Reference): Reference | undefined {
    const name = this.shortened.get(place(target, repository));
    return name && { ...name, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
  }
}

function place(target: TargetRule, repository: string): string {
  return `${target.naming.host}/${repository}`;
}
