import { parseExpression } from '../../filters/parse.js';
import { neverFails, translate } from './translate.js';
import { isQuotable } from '../literals.js';
import { readsContainer, textsOf } from './predicate.js';
import type { Predicate } from './predicate.js';

/** A filter that an engine can decide before it calls. */
export interface PushedFilter {
  readonly expression: string;
  /** Index in the configuration's list, from 0. */
  readonly index: number;
  readonly predicate: Predicate;
}

export interface PushedFilters {
  /** If true, the whole Pod is excluded. */
  readonly pod: readonly PushedFilter[];
  /** If true, a container is excluded; these conditions read the container. */
  readonly container: readonly PushedFilter[];
  /** Filters that only the service evaluates. */
  readonly kept: readonly { readonly expression: string; readonly index: number; readonly why: string }[];
}

/**
 * The filters that engines can decide. An error in a filter ends the list, so later filters have no effect; a filter is
 * therefore pushed down only if neither it nor an earlier one can raise an error.
 */
export function pushDownFilters(expressions: readonly string[]): PushedFilters {
  const [pod, container]: [PushedFilter[], PushedFilter[]] = [[], []];
  const kept: { expression: string; index: number; why: string }[] = [];
  let failing: number | undefined;
  expressions.forEach((expression, index) => {
    const node = parseExpression(expression);
    if (failing === undefined && !neverFails(node)) failing = index;
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
