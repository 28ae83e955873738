import type { DecidedTarget, HashedConfig } from './engine.js';

/** Keys of a target that only some engines' policies read. */
export interface ReadKeys {
  /** Computes names under `imageSwapPolicy: always`. */
  readonly swapPolicy?: boolean;
  /** Leaves `imageCopyPolicy: force` to the service. */
  readonly copyPolicy?: boolean;
  /** Reads a table in which targets have names. */
  readonly names?: boolean;
}

/** The keys that the policies of an engine depend on because it decides Pods itself; those with defaults are absent. */
export function decidedKeys(
  { targets, dryRun }: Pick<HashedConfig['decided'], 'targets' | 'dryRun'>,
  reads: ReadKeys,
): Readonly<Record<string, unknown>> {
  const decided = targets.map((target) => keysOf(target, reads));
  const hasAny = decided.some((keys) => Object.keys(keys).length > 0);
  return { ...(hasAny && { decided }), ...(dryRun && { dryRun }) };
}

function keysOf(
  { match, naming, swapPolicy, copyPolicy, platforms = 'all' }: DecidedTarget,
  reads: ReadKeys,
): Readonly<Record<string, unknown>> {
  return {
    ...(match !== undefined && { match }),
    ...(naming.paths !== undefined && { paths: [...naming.paths] }),
    ...(platforms !== 'all' && { platforms }),
    ...(reads.swapPolicy === true && swapPolicy === 'always' && { swapPolicy }),
    ...(reads.copyPolicy === true && copyPolicy === 'force' && { copyPolicy }),
    ...(reads.names === true && naming.name !== 'default' && { name: naming.name }),
  };
}
