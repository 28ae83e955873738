import { compile } from 'jmespath';
import type { Ast } from 'jmespath';
import type { ComparisonOperator, Node, NodeShape } from './ast.js';
import { checkGrammar } from './grammar.js';
import { ExpressionSyntaxError } from './syntax-error.js';
import { tokenize } from './tokens.js';
import type { Token, TokenKind } from './tokens.js';

/**
 * Parses an expression into typed nodes with positions.
 *
 * The jmespath package decides precedence. Its tree has no positions, it rejects `contains(@.image, 'x')`, and it
 * decodes some literals differently from Go. It therefore gets every name and literal replaced by `_<token number>`,
 * and the tree is then walked together with the tokens.
 *
 * @throws ExpressionSyntaxError for expressions that go-jmespath 0.4.0 does not compile, or that are nested more than
 * 2,000 levels deep
 */
export function parseExpression(expression: string): Node {
  try {
    const tokens = tokenize(expression);
    checkGrammar(expression, tokens);
    return new TreeReader(tokens).readAll(compile(tokens.map(respell).join(' ')));
  } catch (error) {
    if (error instanceof ExpressionSyntaxError) {
      throw error;
    }
    const reason = error instanceof RangeError ? TOO_DEEP : 'the expression is not JMESPath';
    throw new ExpressionSyntaxError(0, reason);
  }
}

function respell(token: Token, position: number): string {
  switch (token.kind) {
    case 'identifier':
    case 'quoted':
    case 'literal':
    case '@':
      return `_${position}`;
    case 'number':
      return String(token.value);
    case 'end':
      return '';
    default:
      return token.kind;
  }
}

/** Far from the end of any stack, so that evaluating the result is safe; `a || b || …` counts one level each. */
const MAX_DEPTH = 2000;
const TOO_DEEP = 'the expression is nested too deeply';
const BINARY = { Pipe: 'chain', OrExpression: 'or', AndExpression: 'and' } as const;

/** Walks jmespath's tree and the tokens together: each node consumes its own tokens. */
class TreeReader {
  #position = 0;
  #depth = 0;
  /** Positions of the grouping parentheses that are still open. */
  readonly #groups: number[] = [];

  constructor(private readonly tokens: readonly Token[]) {}

  readAll(ast: Ast): Node {
    const node = this.#read(ast);
    this.#take('end');
    return node;
  }

  #read(ast: Ast): Node {
    const first = this.#position;
    if (++this.#depth > MAX_DEPTH) {
      throw new ExpressionSyntaxError(this.#next.start, TOO_DEEP);
    }
    let node = this.#readBareExpression(ast);
    this.#depth--;
    // The tree has no groups; a group belongs to the outermost node that began at or before its parenthesis.
    while (this.#next.kind === ')' && (this.#groups.at(-1) ?? -1) >= first) {
      const open = this.tokens[this.#groups.pop() ?? 0];
      node = { ...node, start: open?.start ?? node.start, end: this.#take(')').end };
    }
    return node;
  }

  #readBareExpression(ast: Ast): Node {
    switch (ast.type) {
      case 'Field':
        return this.#readLeaf(ast.name);
      case 'Identity':
        this.#openGroups();
        return implicit(this.#next.start);
      case 'Subexpression': {
        const left = this.#read(ast.children[0]);
        this.#take('.');
        return this.#from(left, { kind: 'chain', left, right: this.#read(ast.children[1]) });
      }
      case 'IndexExpression': {
        const left = this.#read(ast.children[0]);
        return this.#from(left, { kind: 'chain', left, right: this.#readBrackets(ast.children[1]) });
      }
      case 'Projection': {
        const source = this.#readProjected(ast.children[0]);
        return this.#from(source, { kind: 'projection', source, element: this.#readElement(ast.children[1]) });
      }
      case 'ValueProjection': {
        const source = this.#read(ast.children[0]);
        this.#skip('.');
        this.#take('*');
        return this.#from(source, { kind: 'valueProjection', source, element: this.#readElement(ast.children[1]) });
      }
      case 'FilterProjection': {
        const source = this.#read(ast.children[0]);
        this.#take('[?');
        const condition = this.#read(ast.children[2]);
        this.#take(']');
        const element = this.#readElement(ast.children[1]);
        return this.#from(source, { kind: 'filterProjection', source, condition, element });
      }
      case 'Comparator': {
        const left = this.#read(ast.children[0]);
        const operator = this.#take().kind as ComparisonOperator;
        return this.#from(left, { kind: 'comparison', operator, left, right: this.#read(ast.children[1]) });
      }
      case 'Pipe':
      case 'OrExpression':
      case 'AndExpression': {
        const left = this.#read(ast.children[0]);
        this.#take();
        return this.#from(left, { kind: BINARY[ast.type], left, right: this.#read(ast.children[1]) });
      }
      case 'NotExpression':
        return this.#from(this.#begin('!'), { kind: 'not', operand: this.#read(ast.children[0]) });
      case 'ExpressionReference':
        return this.#from(this.#begin('&'), { kind: 'reference', body: this.#read(ast.children[0]) });
      case 'MultiSelectList':
        return this.#readList(ast.children);
      case 'MultiSelectHash':
        return this.#readHash(ast.children);
      case 'Function':
        return this.#readCall(ast.children);
      case 'Flatten':
      case 'Index':
      case 'Slice':
        throw new TypeError(`${ast.type} outside its place`);
    }
  }

  #readLeaf(name: string): Node {
    const token = this.#begin();
    if (this.tokens[Number(name.slice(1))] !== token) {
      throw new TypeError(`${name} is not the next token`);
    }
    switch (token.kind) {
      case '@':
        return this.#from(token, { kind: 'current', implicit: false });
      case 'literal':
        return this.#from(token, { kind: 'literal', value: token.value });
      default:
        return this.#from(token, { kind: 'field', name: String(token.value) });
    }
  }

  /** The left side of a projection, with its brackets: `a[]`, `a[1:2]`, `a[*]`. */
  #readProjected(ast: Ast): Node {
    if (ast.type === 'Flatten') {
      const source = this.#read(ast.children[0]);
      this.#take('[]');
      return this.#from(source, { kind: 'flatten', source });
    }
    if (ast.type === 'IndexExpression' && ast.children[1].type === 'Slice') {
      return this.#readBareExpression(ast);
    }
    const source = this.#read(ast);
    this.#take('[');
    this.#take('*');
    this.#take(']');
    return source;
  }

  /** The right side of a projection. */
  #readElement(ast: Ast): Node {
    if (ast.type === 'Identity') {
      return implicit(this.#previousTokenEnd);
    }
    this.#skip('.');
    return this.#read(ast);
  }

  #readBrackets(ast: Ast): Node {
    const open = this.#take('[');
    while (this.#next.kind === 'number' || this.#next.kind === ':') {
      this.#take();
    }
    this.#take(']');
    if (ast.type === 'Index') {
      return this.#from(open, { kind: 'index', index: ast.value });
    }
    if (ast.type === 'Slice') {
      const [from, to, step] = ast.children;
      return this.#from(open, { kind: 'slice', from, to, step });
    }
    throw new TypeError(`${ast.type} in brackets`);
  }

  #readList(asts: readonly Ast[]): Node {
    const open = this.#begin('[');
    const items = asts.map((ast) => this.#readItem(ast));
    this.#take(']');
    return this.#from(open, { kind: 'list', items });
  }

  #readHash(pairs: readonly { readonly value: Ast }[]): Node {
    const open = this.#begin('{');
    const entries = pairs.map(({ value }) => {
      const key = String(this.#take().value);
      this.#take(':');
      return { key, value: this.#readItem(value) };
    });
    this.#take('}');
    return this.#from(open, { kind: 'hash', entries });
  }

  #readCall(asts: readonly Ast[]): Node {
    const name = this.#begin('identifier');
    this.#take('(');
    const items = asts.map((ast) => this.#readItem(ast));
    this.#take(')');
    return this.#from(name, { kind: 'call', name: String(name.value), nameStart: name.start, arguments: items });
  }

  #readItem(ast: Ast): Node {
    const node = this.#read(ast);
    this.#skip(',');
    return node;
  }

  /** The first token of a node, after the parentheses around it. */
  #begin(kind?: TokenKind): Token {
    this.#openGroups();
    return this.#take(kind);
  }

  #openGroups(): void {
    while (this.#next.kind === '(') {
      this.#groups.push(this.#position);
      this.#take('(');
    }
  }

  /** A node from the start of `first` to the last consumed token. */
  #from(first: { readonly start: number }, shape: NodeShape): Node {
    return { ...shape, start: first.start, end: this.#previousTokenEnd };
  }

  get #previousTokenEnd(): number {
    return this.tokens[this.#position - 1]?.end ?? 0;
  }

  get #next(): Token {
    const token = this.tokens[this.#position];
    if (token === undefined) {
      throw new TypeError('no token is left');
    }
    return token;
  }

  #skip(kind: TokenKind): void {
    if (this.#next.kind === kind) {
      this.#take(kind);
    }
  }

  #take(kind?: TokenKind): Token {
    const token = this.#next;
    if (kind !== undefined && token.kind !== kind) {
      throw new TypeError(`${token.kind} where ${kind} was expected`);
    }
    this.#position++;
    return token;
  }
}

function implicit(offset: number): Node {
  return { kind: 'current', implicit: true, start: offset, end: offset };
}
