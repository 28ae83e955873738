import type { Path } from '../tree.js';
import { itemsOf, nodeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';

/** Where `imageCopyPolicy` can be written: for all targets, for the single one, for each of several. */
export function copyPolicyPaths(tree: RuleContext['tree']): readonly Path[] {
  const targets = itemsOf(nodeAt(tree, ['targets'])).map((_, index) => ['targets', index, 'imageCopyPolicy']);
  return [['imageCopyPolicy'], ['target', 'imageCopyPolicy'], ...targets];
}

/** The policy of each target that there is: its own, or the general one. */
export function copyPolicies(tree: RuleContext['tree']): readonly string[] {
  const [all = [], ...each] = copyPolicyPaths(tree);
  const usual = textOf(nodeAt(tree, all)) ?? 'delayed';
  const targets = each.filter((path) => nodeAt(tree, path.slice(0, -1)) !== undefined);
  return targets.map((path) => textOf(nodeAt(tree, path)) ?? usual);
}
