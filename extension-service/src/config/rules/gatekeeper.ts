import { checkGatekeeperMatches, waitsForCopy } from '../../core/policies/gatekeeper-limits.js';
import { InvalidPolicyOptionError } from '../../core/policies/problem.js';
import { gatekeeperFilters } from '../../core/policies/pushdown/gatekeeper-match.js';
import { formatPath } from '../tree.js';
import type { RuleContext } from './context.js';
import { copyPolicies, statedCopyPolicies } from './copy-policies.js';
import type { LocatedExpression } from './expressions.js';
import { filtersOf, matchesOf } from './expressions.js';

/**
 * What `policies.engine: gatekeeper` cannot do, because it sends image names alone and does not wait. Unsaid, no Pod would
 * be swapped, or no image copied, and nothing would say why.
 */
export function checkGatekeeper(context: RuleContext): void {
  if (context.config.policies?.engine !== 'gatekeeper') return;
  checkCopies(context);
  checkFilters(context);
  checkMatches(context);
}

function checkCopies(context: RuleContext): void {
  const isOff = context.config.reconcile?.enabled === false;
  if (isOff && copyPolicies(context).some((policy) => policy !== 'none')) {
    context.error(
      ['reconcile', 'enabled'],
      'is false, and policies.engine is gatekeeper: nothing would ever be copied, as Gatekeeper never asks for a copy',
      'set it to true, or imageCopyPolicy: none',
    );
  }
  for (const [path, policy] of statedCopyPolicies(context)) {
    if (!waitsForCopy(policy)) continue;
    context.warn(
      path,
      'waits for no copy: policies.engine is gatekeeper, whose requests start none; it works like delayed',
      'set delayed, or use another engine (kyverno, webhook)',
    );
  }
}

function checkFilters(context: RuleContext): void {
  const filters = filtersOf(context);
  // What is not an expression is already reported, and the places of the others count.
  const { length } = context.config.source?.filters ?? [];
  if (filters.length < length || filters.some((filter) => isBroken(context, filter))) return;
  try {
    gatekeeperFilters(filters.map(({ expression }) => expression));
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    const index = Number(/\[(\d+)\]/.exec(error.option)?.[1] ?? 0);
    context.error(filters[index]?.path ?? ['source', 'filters'], error.reason);
  }
}

function checkMatches(context: RuleContext): void {
  for (const match of matchesOf(context)) {
    if (isBroken(context, match)) continue;
    try {
      checkGatekeeperMatches([{ option: formatPath(match.path), match: match.expression }]);
    } catch (error) {
      if (!(error instanceof InvalidPolicyOptionError)) throw error;
      context.error(match.path, error.reason);
    }
  }
}

function isBroken({ compile }: RuleContext, { expression, index }: LocatedExpression): boolean {
  return compile(expression, index).problems.some(({ severity }) => severity === 'error');
}
