/** What go-jmespath reports as an error, or panics about, while it evaluates. The message quotes no values of the Pod. */
export class EvaluationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EvaluationError';
  }
}
