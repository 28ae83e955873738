import { checkGatekeeperMatches, waitsForCopy } from '../../core/policies/gatekeeper-limits.js';
import { InvalidPolicyOptionError } from '../../core/policies/problem.js';
import { gatekeeperFilters } from '../../core/policies/pushdown/gatekeeper-match.js';
import type { Path } from '../tree.js';
import { formatPath, itemsOf, nodeAt, placeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';
import { copyPolicies, copyPolicyPaths } from './copy-policies.js';

/**
 * What `policies.engine: gatekeeper` cannot do, because it sends image names alone and does not wait. Unsaid, no Pod would
 * be swapped, or no image copied, and nothing would say why.
 */
export function checkGatekeeper(context: RuleContext): void {
  const { tree } = context;
  if (textOf(nodeAt(tree, ['policies', 'engine'])) !== 'gatekeeper') return;
  checkCopies(context);
  checkFilters(context);
  checkMatches(context);
}

function checkCopies({ tree, problems }: RuleContext): void {
  const at = (...path: Path) => [placeAt(tree, path), formatPath(path)] as const;
  const reconcile = nodeAt(tree, ['reconcile', 'enabled']);
  if (
    reconcile?.kind === 'scalar' &&
    reconcile.value === false &&
    copyPolicies(tree).some((policy) => policy !== 'none')
  ) {
    problems.error(
      ...at('reconcile', 'enabled'),
      'is false, and policies.engine is gatekeeper: nothing would ever be copied, as Gatekeeper never asks for a copy',
      'set it to true, or imageCopyPolicy: none',
    );
  }
  for (const path of copyPolicyPaths(tree)) {
    if (!waitsForCopy(textOf(nodeAt(tree, path)))) continue;
    problems.warning(
      ...at(...path),
      'waits for no copy: policies.engine is gatekeeper, whose requests start none; it works like delayed',
      'set delayed, or use another engine (kyverno, webhook)',
    );
  }
}

function checkFilters({ tree, problems, compile }: RuleContext): void {
  const paths = itemsOf(nodeAt(tree, ['source', 'filters'])).map((_, index) => [
    'source',
    'filters',
    index,
    'jmespath',
  ]);
  const filters = paths.map((path) => textOf(nodeAt(tree, path)) ?? '');
  // What is no expression is told already, and the places of the others count.
  if (filters.some((filter, index) => filter.trim() === '' || isBroken(compile, filter, index))) return;
  try {
    gatekeeperFilters(filters);
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    const index = Number(/\[(\d+)\]/.exec(error.option)?.[1] ?? 0);
    const path = paths[index] ?? ['source', 'filters'];
    problems.error(placeAt(tree, path), formatPath(path), error.reason);
  }
}

function checkMatches({ tree, problems, compile }: RuleContext): void {
  const targets: readonly Path[] = itemsOf(nodeAt(tree, ['targets'])).map((_, index) => ['targets', index, 'match']);
  for (const [index, path] of [...targets, ['target', 'match']].entries()) {
    const match = textOf(nodeAt(tree, path));
    if (match === undefined || match.trim() === '' || isBroken(compile, match, index)) continue;
    try {
      checkGatekeeperMatches([{ option: formatPath(path), match }]);
    } catch (error) {
      if (!(error instanceof InvalidPolicyOptionError)) throw error;
      problems.error(placeAt(tree, path), error.option, error.reason);
    }
  }
}

function isBroken(compile: RuleContext['compile'], expression: string, index: number): boolean {
  return compile(expression, index).problems.some(({ severity }) => severity === 'error');
}
