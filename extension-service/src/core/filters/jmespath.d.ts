/** The parts of the `jmespath` package that @types/jmespath lacks. */
export {};

declare module 'jmespath' {
  /** The tree as jmespath 0.16 builds it: no positions, and `undefined` where its parser is lax. */
  export type Ast =
    | { readonly type: 'Field'; readonly name: string }
    | { readonly type: 'Identity' }
    | { readonly type: 'Index'; readonly value: number }
    | { readonly type: 'Slice'; readonly children: readonly [number | null, number | null, number | null] }
    | { readonly type: BinaryType; readonly children: readonly [Ast, Ast] }
    | { readonly type: 'FilterProjection'; readonly children: readonly [Ast, Ast, Ast] }
    | { readonly type: 'Comparator'; readonly name: string; readonly children: readonly [Ast, Ast] }
    | { readonly type: 'Flatten' | 'NotExpression' | 'ExpressionReference'; readonly children: readonly [Ast] }
    | { readonly type: 'MultiSelectList'; readonly children: readonly Ast[] }
    | { readonly type: 'MultiSelectHash'; readonly children: readonly { readonly name: string; readonly value: Ast }[] }
    | { readonly type: 'Function'; readonly name: string; readonly children: readonly Ast[] };

  type BinaryType =
    'Subexpression' | 'IndexExpression' | 'Projection' | 'ValueProjection' | 'Pipe' | 'OrExpression' | 'AndExpression';

  /** @throws Error of several names, without a position, if the expression is not JMESPath */
  export function compile(expression: string): Ast;
}
