import type { GarbageDecision } from '../../core/gc/decide-garbage.js';
import type { ImageDeleter } from './image-deleter.js';

/** Indexes whose platforms must have disappeared with them. */
const PROOFS = 3;
/** Maximum indexes that are deleted one after another to find out. */
const MAX_TRIALS = 10;

/**
 * Finds out whether a registry deletes the platforms of a deleted index itself, with the first indexes of a run: a
 * platform that was there before must be unknown right after its index was deleted. When in doubt, gc deletes platforms:
 * nothing would find a platform without an index later.
 */
export class PlatformTrial {
  readonly #deleted = new Set<GarbageDecision>();

  constructor(
    private readonly deleter: ImageDeleter,
    private readonly deletions: readonly GarbageDecision[],
  ) {}

  /** The images of the trial. */
  get deleted(): ReadonlySet<GarbageDecision> {
    return this.#deleted;
  }

  /** @returns whether gc has to delete platforms */
  async run(): Promise<boolean> {
    if (!this.deleter.seesPlatforms) return true;
    let proofs = 0;
    for (const candidate of indexesOfTheirOwn(this.deletions).slice(0, MAX_TRIALS)) {
      const result = await this.#try(candidate);
      if (result === 'kept') return true;
      if (result === 'deleted' && ++proofs === PROOFS) return false;
    }
    return true;
  }

  /** A platform that was not there before, or an index that another process has deleted, shows nothing. */
  async #try(decision: GarbageDecision): Promise<'kept' | 'deleted' | 'unknown'> {
    const [platform = ''] = decision.orphans;
    const wasThere = await this.deleter.has(decision, platform);
    this.#deleted.add(decision);
    const isDeleted = await this.deleter.deleteImage(decision);
    if (this.deleter.failures.has(decision)) return 'unknown';
    const found = await this.deleter.deletePlatforms(decision, decision.orphans);
    if (found.size > 0 || this.deleter.failures.has(decision)) return 'kept';
    return wasThere && isDeleted ? 'deleted' : 'unknown';
  }
}

/** Indexes that share no platform with others: a registry keeps a platform of another index. */
function indexesOfTheirOwn(deletions: readonly GarbageDecision[]): readonly GarbageDecision[] {
  const indexes = new Map<string, number>();
  const keyOf = ({ repository }: GarbageDecision, child: string): string => `${repository}@${child}`;
  for (const one of deletions)
    for (const child of new Set(one.children))
      indexes.set(keyOf(one, child), (indexes.get(keyOf(one, child)) ?? 0) + 1);
  return deletions.filter(
    (one) => one.orphans.length > 0 && one.children.every((child) => indexes.get(keyOf(one, child)) === 1),
  );
}
