import { ExpressionSyntaxError } from './syntax-error.js';
import type { Token, TokenKind } from './tokens.js';

/**
 * Checks a token sequence against the grammar of go-jmespath 0.4.0. The jmespath package builds the tree but accepts
 * more than Go (`foo.`, `obj..x`, `[a b]`, `(a b)`) and reports no position, so errors in Go's grammar are found here
 * first. Precedence doesn't matter for this: operands and operators alternate regardless of it.
 *
 * @throws ExpressionSyntaxError at the first token that is not allowed at its place
 */
export function checkGrammar(expression: string, tokens: readonly Token[]): void {
  const reader = new TokenReader(expression, tokens);
  readExpression(reader);
  if (reader.peek() !== 'end') {
    throw reader.unexpected('an operator or the end of the expression');
  }
}

const INFIX: ReadonlySet<TokenKind> = new Set<TokenKind>(['|', '||', '&&', '==', '!=', '<', '<=', '>', '>=']);
/** Tokens that may follow a complete function argument without a comma: Go and jmespath both accept a missing comma. */
const ARGUMENT_START: ReadonlySet<TokenKind> = new Set<TokenKind>(['identifier', 'quoted', 'literal', '@', '&']);

class TokenReader {
  #position = 0;
  constructor(
    private readonly expression: string,
    private readonly tokens: readonly Token[],
  ) {}

  /** The kind of the next token, or of a later one. */
  peek(distance = 0): TokenKind {
    return this.tokens[this.#position + distance]?.kind ?? 'end';
  }

  take(): void {
    this.#position++;
  }

  /** Consumes the token if it is of this kind. */
  skip(kind: TokenKind): boolean {
    const found = this.peek() === kind;
    if (found) {
      this.take();
    }
    return found;
  }

  expect(kind: TokenKind, what = `'${kind}'`): void {
    if (!this.skip(kind)) {
      throw this.unexpected(what);
    }
  }

  unexpected(expected: string): ExpressionSyntaxError {
    const token = this.tokens[this.#position];
    const offset = token?.start ?? this.expression.length;
    const found = token === undefined || token.kind === 'end' ? '' : this.expression.slice(token.start, token.end);
    const problem = found === '' ? 'the expression ends too early' : `unexpected ${quote(found)}`;
    return new ExpressionSyntaxError(offset, `${problem}: expected ${expected}`);
  }
}

function readExpression(reader: TokenReader): void {
  do {
    readOperand(reader);
  } while (INFIX.has(reader.peek()) && reader.skip(reader.peek()));
}

function readOperand(reader: TokenReader): void {
  while (reader.skip('!') || reader.skip('&')) {
    // Prefix operators can be repeated: `!!a`.
  }
  let projected = readPrimary(reader);
  for (;;) {
    if (reader.skip('.')) {
      projected = readMember(reader);
    } else if (reader.skip('[]')) {
      projected = true;
    } else if (reader.skip('[?')) {
      readFilter(reader);
      projected = true;
    } else if (reader.skip('[')) {
      // Only the right side of a projection starts a new operand, so only there a multi-select needs no dot: `a[*][b,
      // c]`.
      projected = projected ? readBracket(reader) : readIndex(reader, 'a number, a slice or *');
    } else {
      return;
    }
  }
}

/** @returns whether the parsed part ends in a projection */
function readPrimary(reader: TokenReader): boolean {
  switch (reader.peek()) {
    case 'literal':
    case '@':
      reader.take();
      return false;
    case 'identifier':
    case 'quoted':
      readName(reader);
      return false;
    case '*':
    case '[]':
      reader.take();
      return true;
    case '[?':
      reader.take();
      readFilter(reader);
      return true;
    case '[':
      reader.take();
      return readBracket(reader);
    case '{':
      reader.take();
      readHash(reader);
      return false;
    case '(':
      reader.take();
      readExpression(reader);
      reader.expect(')');
      return false;
    default:
      throw reader.unexpected('a value');
  }
}

/** After a dot. */
function readMember(reader: TokenReader): boolean {
  if (reader.peek() === 'identifier' || reader.peek() === 'quoted') {
    readName(reader);
    return false;
  }
  if (reader.skip('*')) {
    return true;
  }
  if (reader.skip('[')) {
    readList(reader);
  } else if (reader.skip('{')) {
    readHash(reader);
  } else {
    throw reader.unexpected("a field name, '*', '[' or '{'");
  }
  return false;
}

function readName(reader: TokenReader): void {
  const quoted = reader.peek() === 'quoted';
  reader.take();
  if (reader.peek() !== '(') {
    return;
  }
  if (quoted) {
    throw reader.unexpected('no call: a function name must not be quoted');
  }
  reader.take();
  while (!reader.skip(')')) {
    readExpression(reader);
    if (!reader.skip(',') && reader.peek() !== ')' && !ARGUMENT_START.has(reader.peek())) {
      throw reader.unexpected("',' or ')'");
    }
  }
}

function readFilter(reader: TokenReader): void {
  readExpression(reader);
  reader.expect(']');
}

/** After `[` at the start of an operand: an index, a slice, `*` or a multi-select list. */
function readBracket(reader: TokenReader): boolean {
  const index =
    reader.peek() === 'number' || reader.peek() === ':' || (reader.peek() === '*' && reader.peek(1) === ']');
  if (index) {
    return readIndex(reader, 'a number, a slice or *');
  }
  readList(reader);
  return false;
}

function readIndex(reader: TokenReader, expected: string): boolean {
  if (reader.skip('*')) {
    reader.expect(']');
    return true;
  }
  if (reader.peek() === 'number' && reader.peek(1) !== ':') {
    reader.take();
    reader.expect(']');
    return false;
  }
  if (reader.peek() !== 'number' && reader.peek() !== ':') {
    throw reader.unexpected(expected);
  }
  for (let colons = 0; colons < 3 && reader.peek() !== ']';) {
    if (reader.skip(':')) {
      colons++;
    } else {
      reader.expect('number', "a number, ':' or ']'");
    }
  }
  reader.expect(']');
  return true;
}

function readList(reader: TokenReader): void {
  do {
    readExpression(reader);
  } while (reader.skip(','));
  reader.expect(']', "',' or ']'");
}

/** Go and jmespath both accept a missing comma between entries, but not a comma before the brace. */
function readHash(reader: TokenReader): void {
  do {
    if (!reader.skip('identifier')) {
      reader.expect('quoted', 'a key');
    }
    reader.expect(':');
    readExpression(reader);
  } while (reader.skip(',') || reader.peek() === 'identifier' || reader.peek() === 'quoted');
  reader.expect('}', "',' or '}'");
}

function quote(text: string): string {
  const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return short.includes("'") ? short : `'${short}'`;
}
