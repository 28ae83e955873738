/** A mistake in an expression that compiles. */
export interface ExpressionWarning {
  /** UTF-16 offset into the expression. */
  readonly offset: number;
  readonly message: string;
}
