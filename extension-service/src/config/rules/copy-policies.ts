import type { Path } from '../tree.js';
import { itemsOf, nodeAt } from '../tree.js';
import type { RuleContext } from './context.js';

export { waitsForCopy } from '../../core/policies/gatekeeper-limits.js';

/** Where `imageCopyPolicy` can be written: for all targets, for the single one, for each of several. */
export function copyPolicyPaths(tree: RuleContext['tree']): readonly Path[] {
  const targets = itemsOf(nodeAt(tree, ['targets'])).map((_, index) => ['targets', index, 'imageCopyPolicy']);
  return [['imageCopyPolicy'], ['target', 'imageCopyPolicy'], ...targets];
}
