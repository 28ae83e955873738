import { parseExpression } from '../../filters/parse.js';
import { cannotFail, translate } from './translate.js';
import { isQuotable } from '../literals.js';
import { readsContainer, textsOf } from './predicate.js';
import type { Predicate } from './predicate.js';

/** A filter that an engine can decide before it calls. */
export interface PushedFilter {
  readonly expression: string;
  /** Place in the configuration's list, from 0. */
  readonly index: number;
  readonly predicate: Predicate;
}

export interface PushedFilters {
  /** True means that the whole Pod is left alone. */
  readonly pod: readonly PushedFilter[];
  /** True means that a container is left alone; these read the container. */
  readonly container: readonly PushedFilter[];
  /** Filters that stay with the service. */
  readonly kept: readonly { readonly expression: string; readonly index: number; readonly why: string }[];
}

/**
 * The part of the filters that engines can decide. An error in a filter ends the list, and the filters behind it then do not
 * count: so one is pushed down only if no filter up to it can raise an error.
 */
export function pushDownFilters(expressions: readonly string[]): PushedFilters {
  const [pod, container]: [PushedFilter[], PushedFilter[]] = [[], []];
  const kept: { expression: string; index: number; why: string }[] = [];
  let failing: number | undefined;
  expressions.forEach((expression, index) => {
    const node = parseExpression(expression);
    if (failing === undefined && !cannotFail(node)) failing = index;
    const predicate = failing === undefined ? translate(node) : undefined;
    if (predicate !== undefined && !textsOf(predicate).every(isQuotable))
      kept.push({ expression, index, why: 'contains a character that policies cannot express' });
    else if (predicate !== undefined)
      (readsContainer(predicate) ? container : pod).push({ expression, index, predicate });
    else if (failing === undefined)
      kept.push({ expression, index, why: 'uses conditions that engines cannot evaluate' });
    else if (failing === index) kept.push({ expression, index, why: 'can raise an error' });
    else kept.push({ expression, index, why: `the earlier filter ${failing + 1} can raise an error` });
  });
  return { pod, container, kept };
}
