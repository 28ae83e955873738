import { OPTED_OUT } from './opted-out.js';
import type { Predicate } from './predicate.js';
import { pushDownFilters } from './push-down.js';
import type { PushedFilter } from './push-down.js';

/** Conditions under which engines skip a Pod without a call. The service decides the same for Pods that still reach it. */
export interface SkippedPods {
  readonly pod: readonly Skip[];
  readonly container: readonly Skip[];
}

export interface Skip {
  /** Names the condition for readers of the policy. */
  readonly name: string;
  readonly predicate: Predicate;
  /** The predicate in the engine's language. */
  readonly text: string;
}

/** Renders a predicate for an engine; `option` is its origin, for error messages. */
type Write = (predicate: Predicate, option: string) => string;

/** The API server accepts 64 conditions; only the service decides further filters. */
const MAX_FILTERS = 48;
/**
 * CEL accepts 100,000 characters per expression, and the API server rejects the policy for one more. The conditions
 * that exclude containers are one expression, together with the targets. All expressions together must fit into one
 * object of etcd and `kubectl apply`, twice for ClusterPolicy. Only the service decides filters beyond these limits.
 */
const MAX_CHARACTERS = { filter: 50_000, containers: 50_000, all: 100_000 } as const;

export function skippedPods(filters: readonly string[], write: Write): SkippedPods {
  const { pod, container } = pushDownFilters(filters);
  const withinLimit = (pushed: readonly PushedFilter[], most: number): readonly Skip[] => {
    const skips: Skip[] = [];
    let length = 0;
    for (const { index, predicate } of pushed) {
      // A filter that is never true needs no condition.
      if (predicate.kind === 'constant' && !predicate.value) continue;
      if (skips.length === MAX_FILTERS) break;
      const text = write(predicate, `filters[${index}]`);
      if (text.length > Math.min(MAX_CHARACTERS.filter, most - length)) continue;
      length += text.length;
      skips.push({ name: `filter-${index + 1}`, predicate, text });
    }
    return skips;
  };
  const ofContainers = withinLimit(container, MAX_CHARACTERS.containers);
  const taken = ofContainers.reduce((sum, { text }) => sum + text.length, 0);
  return {
    pod: [
      { name: 'not-opted-out', predicate: OPTED_OUT, text: write(OPTED_OUT, 'filters') },
      ...withinLimit(pod, MAX_CHARACTERS.all - taken),
    ],
    container: ofContainers,
  };
}
