import { OPTED_OUT } from './opted-out.js';
import type { Predicate } from './predicate.js';
import { pushDownFilters } from './push-down.js';

/** What engines are told to leave alone without a call. The service decides the same of what still reaches it. */
export interface SkippedPods {
  readonly pod: readonly Skip[];
  readonly container: readonly Skip[];
}

export interface Skip {
  /** Names the condition for people who read the policy. */
  readonly name: string;
  readonly predicate: Predicate;
  /** The option that it comes from, as error messages name it. */
  readonly option: string;
}

/** The API server takes 64 conditions; a filter beyond these is decided by the service alone. */
const MOST_FILTERS = 48;

export function skippedPods(filters: readonly string[] = []): SkippedPods {
  const { pod, container } = pushDownFilters(filters);
  const skip = ({ index, predicate }: { readonly index: number; readonly predicate: Predicate }): Skip => ({
    name: `filter-${index + 1}`,
    predicate,
    option: `filters[${index}]`,
  });
  // A filter that is never true needs no condition.
  const useful = ({ predicate }: { readonly predicate: Predicate }): boolean =>
    predicate.kind !== 'constant' || predicate.value;
  return {
    pod: [
      { name: 'not-opted-out', predicate: OPTED_OUT, option: 'filters' },
      ...pod.filter(useful).slice(0, MOST_FILTERS).map(skip),
    ],
    container: container.filter(useful).slice(0, MOST_FILTERS).map(skip),
  };
}
