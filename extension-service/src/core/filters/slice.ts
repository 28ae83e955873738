import { EvaluationError } from './evaluation-error.js';

/**
 * `[from:to:step]` as in Python. Null is an omitted part.
 *
 * @throws EvaluationError if the step is 0
 */
export function evaluateSlice(
  items: readonly unknown[],
  from: number | null,
  to: number | null,
  step: number | null,
): readonly unknown[] {
  const by = step ?? 1;
  if (by === 0) {
    throw new EvaluationError('the step of a slice cannot be 0');
  }
  const backwards = by < 0;
  const first = from === null ? (backwards ? items.length - 1 : 0) : limit(from, items.length, backwards);
  const last = to === null ? (backwards ? -1 : items.length) : limit(to, items.length, backwards);
  const result: unknown[] = [];
  for (let i = first; backwards ? i > last : i < last; i += by) {
    result.push(items[i]);
  }
  return result;
}

/** Negative parts count from the end; parts beyond an end are clamped. */
function limit(part: number, length: number, backwards: boolean): number {
  const index = part < 0 ? part + length : part;
  if (index < 0) {
    return backwards ? -1 : 0;
  }
  return index < length ? index : backwards ? length - 1 : length;
}
