import type { Path } from '../tree.js';
import type { RuleContext } from './context.js';
import { targetsOf } from './registries.js';

/** Each effective `imageCopyPolicy`, by its path: the general one, and one for each target that sets its own. */
export function statedCopyPolicies(context: RuleContext): readonly (readonly [Path, string])[] {
  const stated: readonly (readonly [Path, string | undefined])[] = [
    [['imageCopyPolicy'], context.config.imageCopyPolicy],
    ...targetsOf(context).map(({ path, config }) => [[...path, 'imageCopyPolicy'], config?.imageCopyPolicy] as const),
  ];
  return stated.flatMap(([path, policy]) => (policy === undefined ? [] : [[path, policy]]));
}

/** The policy of each target: its own, or the general one. */
export function copyPolicies(context: RuleContext): readonly string[] {
  return targetsOf(context).flatMap(({ path, config }) => {
    const own = config?.imageCopyPolicy;
    const general = context.isWritten([...path, 'imageCopyPolicy']) ? undefined : context.config.imageCopyPolicy;
    return own ?? general ?? [];
  });
}
