/** An error that go-jmespath reports during evaluation. The message quotes no values of the Pod. */
export class EvaluationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EvaluationError';
  }
}

/** Thrown where go-jmespath panics. `[]`, `[?…]` and `.*` ignore an error on their left, but not a panic. */
export class EvaluationCrash extends EvaluationError {
  constructor(message: string) {
    super(message);
    this.name = 'EvaluationPanic';
  }
}
