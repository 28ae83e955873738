/**
 * How much an evaluation may still do. A Pod is text from anyone who may create one, and an expression that walks its
 * containers once for each of them, harmless for four, would block everybody's admissions for four thousand.
 */
export class WorkBudget {
  constructor(public left: number) {}
}

/** Elements looked at, characters by the sixteen: some tenths of a second. A Pod of 50 containers needs about 10,000. */
export const WORK_LIMIT = 2_000_000;

/** The budget is spent. No value of the Pod is in the message. */
export class WorkBudgetError extends Error {
  constructor() {
    super('the expressions take too much work on an object of this size');
    this.name = 'WorkBudgetError';
  }
}

// Evaluation is synchronous, so that one variable does: to hand a budget down every call costs each evaluation.
let current: WorkBudget | undefined;

/** @throws WorkBudgetError when `run` does more than the budget allows; without one it is {@link WORK_LIMIT} */
export function withinBudget<T>(run: () => T, budget = new WorkBudget(WORK_LIMIT)): T {
  const outer = current;
  current = budget;
  try {
    return run();
  } finally {
    current = outer;
  }
}

/** Whether somebody outside counts what is done here. */
export function isCounted(): boolean {
  return current !== undefined;
}

/** Called before the work is done. */
export function spendWork(work: number): void {
  if (current !== undefined && (current.left -= work) < 0) throw new WorkBudgetError();
}

/** The cost of a string. */
export function ofText(length: number): number {
  return 1 + (length >> 4);
}
