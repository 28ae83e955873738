/** An error that go-jmespath reports during evaluation. The message quotes no values of the Pod. */
export class EvaluationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EvaluationError';
  }
}

/** An error that ends the whole evaluation. `[]`, `[?…]` and `.*` ignore other errors on their left, but not these. */
export class FatalEvaluationError extends EvaluationError {
  constructor(message: string) {
    super(message);
    this.name = 'FatalEvaluationError';
  }
}
