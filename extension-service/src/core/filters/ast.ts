/** The position of a node in the expression, in UTF-16 offsets, including its own parentheses; `end` is exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=';

/** An expression as parsed by go-jmespath 0.4.0. */
export type Node = Span & NodeShape;

export type NodeShape =
  /** The current value; `implicit` if the expression has no `@`, as before `[0]` at its start. */
  | { readonly kind: 'current'; readonly implicit: boolean }
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: unknown }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'slice'; readonly from: number | null; readonly to: number | null; readonly step: number | null }
  /** `right` applied to the result of `left`, even if that is null: `a.b`, `a[0]`, `a | b`. */
  | { readonly kind: 'chain'; readonly left: Node; readonly right: Node }
  | { readonly kind: 'flatten'; readonly source: Node }
  /** `element` applied to every element of an array; nulls are dropped. */
  | { readonly kind: 'projection'; readonly source: Node; readonly element: Node }
  | { readonly kind: 'filterProjection'; readonly source: Node; readonly condition: Node; readonly element: Node }
  | { readonly kind: 'valueProjection'; readonly source: Node; readonly element: Node }
  | { readonly kind: 'comparison'; readonly operator: ComparisonOperator; readonly left: Node; readonly right: Node }
  | { readonly kind: 'or' | 'and'; readonly left: Node; readonly right: Node }
  | { readonly kind: 'not'; readonly operand: Node }
  | { readonly kind: 'list'; readonly items: readonly Node[] }
  | { readonly kind: 'hash'; readonly entries: readonly { readonly key: string; readonly value: Node }[] }
  | { readonly kind: 'call'; readonly name: string; readonly nameStart: number; readonly arguments: readonly Node[] }
  /** `&body`: an expression as a value, for `sort_by`, `max_by`, `min_by` and `map`. */
  | { readonly kind: 'reference'; readonly body: Node };

/** The nodes directly below, in the order of the expression. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'current':
    case 'field':
    case 'literal':
    case 'index':
    case 'slice':
      return [];
    case 'chain':
    case 'comparison':
    case 'or':
    case 'and':
      return [node.left, node.right];
    case 'flatten':
      return [node.source];
    case 'projection':
    case 'valueProjection':
      return [node.source, node.element];
    case 'filterProjection':
      return [node.source, node.condition, node.element];
    case 'not':
      return [node.operand];
    case 'list':
      return node.items;
    case 'hash':
      return node.entries.map((entry) => entry.value);
    case 'call':
      return node.arguments;
    case 'reference':
      return [node.body];
  }
}
