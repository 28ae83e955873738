/** An expression that go-jmespath does not compile. `offset` counts UTF-16 units from 0. */
export class ExpressionSyntaxError extends Error {
  constructor(
    readonly offset: number,
    readonly reason: string,
  ) {
    super(reason);
    this.name = 'ExpressionSyntaxError';
  }
}
