/**
 * The remaining work of an evaluation. Anyone who may create a Pod can write one, and an expression that walks its
 * containers once for each container, harmless for four, would block all admissions for four thousand.
 */
export class WorkBudget {
  constructor(public left: number) {}
}

/**
 * One unit is an element, or sixteen characters; the limit takes some tenths of a second. A Pod of 50 containers needs
 * about 10,000.
 */
export const MAX_WORK_UNITS = 2_000_000;

/** The budget is used up. The message contains no value of the Pod. */
export class WorkBudgetError extends Error {
  constructor() {
    super('the expressions take too much work on an object of this size');
    this.name = 'WorkBudgetError';
  }
}

// Evaluation is synchronous, so one variable is enough; passing a budget to every call would slow down each
// evaluation.
let current: WorkBudget | undefined;

/** @throws WorkBudgetError if `run` exceeds the budget, by default {@link MAX_WORK_UNITS} */
export function withinBudget<T>(run: () => T, budget = new WorkBudget(MAX_WORK_UNITS)): T {
  const outer = current;
  current = budget;
  try {
    return run();
  } finally {
    current = outer;
  }
}

/** Whether a caller counts this work. */
export function isCounted(): boolean {
  return current !== undefined;
}

/** Called before the work starts. */
export function spendWork(work: number): void {
  if (current !== undefined && (current.left -= work) < 0) throw new WorkBudgetError();
}

/** The cost of a string. */
export function ofText(length: number): number {
  return 1 + (length >> 4);
}
