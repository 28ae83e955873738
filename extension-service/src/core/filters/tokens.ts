import { ExpressionSyntaxError } from './syntax-error.js';

/** Symbols are their own kind. `literal` is a JSON literal or a raw string, already decoded. */
export type TokenKind = 'identifier' | 'quoted' | 'literal' | 'number' | 'end' | SymbolKind;
type SymbolKind = (typeof SYMBOLS)[number];

export interface Token {
  readonly kind: TokenKind;
  /** UTF-16 offsets into the expression; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
  /** Name of an identifier, value of a literal, number of a number. */
  readonly value?: unknown;
}

// Longest first: `[?` before `[`. A lone `=` is not here: it is not an operator.
const SYMBOLS = [
  ...(['[?', '[]', '||', '&&', '<=', '>=', '==', '!='] as const),
  ...(['.', '*', ',', ':', '{', '}', '[', ']', '(', ')', '@', '|', '&', '!', '<', '>'] as const),
] as const;

const SPACE = /[ \t\r\n]*/y;
const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /-?[0-9]*/y;

/**
 * Tokens by the lexical rules of go-jmespath 0.4.0, which differ from the jmespath package's: carriage returns are
 * space, `-` only starts a number, backtick literals must be JSON, and in a raw string only `\'` is an escape.
 *
 * @throws ExpressionSyntaxError
 */
export function tokenize(expression: string): readonly Token[] {
  const tokens: Token[] = [];
  let offset = 0;
  for (;;) {
    offset += match(SPACE, expression, offset).length;
    if (offset >= expression.length) {
      tokens.push({ kind: 'end', start: expression.length, end: expression.length });
      return tokens;
    }
    const token = readToken(expression, offset);
    tokens.push(token);
    offset = token.end;
  }
}

const DELIMITED: ReadonlyMap<string, (expression: string, start: number) => Token> = new Map([
  ['"', quotedIdentifier],
  ["'", rawString],
  ['`', jsonLiteral],
]);

const KEY_HINT = ': put such a key in double quotes, as in obj.metadata.labels."app.kubernetes.io/name"';

function readToken(expression: string, start: number): Token {
  const identifier = match(IDENTIFIER, expression, start);
  if (identifier !== '') {
    return { kind: 'identifier', start, end: start + identifier.length, value: identifier };
  }
  const number = match(NUMBER, expression, start);
  if (number !== '') {
    return { kind: 'number', start, end: start + number.length, value: integer(number, start) };
  }
  const readDelimited = DELIMITED.get(expression.charAt(start));
  if (readDelimited !== undefined) {
    return readDelimited(expression, start);
  }
  const symbol = SYMBOLS.find((candidate) => expression.startsWith(candidate, start));
  if (symbol !== undefined) {
    return { kind: symbol, start, end: start + symbol.length };
  }
  if (expression[start] === '=') {
    throw new ExpressionSyntaxError(start, "'=' is not an operator: compare with '=='");
  }
  const character = String.fromCodePoint(expression.codePointAt(start) ?? 0);
  throw new ExpressionSyntaxError(
    start,
    `unexpected character ${JSON.stringify(character)}${character === '/' ? KEY_HINT : ''}`,
  );
}

/** Go parses indices and slice parts as 64-bit integers and rejects all others. */
function integer(text: string, start: number): number {
  if (text === '-') {
    throw new ExpressionSyntaxError(start, "'-' must be followed by a digit: write a string as '…'");
  }
  if (BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw new ExpressionSyntaxError(start, `the number ${text} is too large`);
  }
  return Number(text);
}

function quotedIdentifier(expression: string, start: number): Token {
  const end = closing(expression, start, '"');
  const source = expression.slice(start, end);
  try {
    return { kind: 'quoted', start, end, value: wellFormed(JSON.parse(source) as string) };
  } catch {
    throw new ExpressionSyntaxError(start, `the quoted identifier ${source} is not a JSON string`);
  }
}

function jsonLiteral(expression: string, start: number): Token {
  const end = closing(expression, start, '`');
  const source = expression.slice(start + 1, end - 1).replaceAll('\\`', '`');
  let infinite = false;
  try {
    const value: unknown = JSON.parse(source, (_key, part: unknown) => {
      infinite ||= typeof part === 'number' && !Number.isFinite(part);
      return typeof part === 'string' ? wellFormed(part) : part;
    });
    if (!infinite) {
      return { kind: 'literal', start, end, value };
    }
  } catch {
    // Reported below, with advice.
  }
  const reason = infinite
    ? `the literal \`${source}\` holds a number that is too large`
    : `the literal \`${source}\` is not JSON: write a string as '…' or \`"…"\``;
  throw new ExpressionSyntaxError(start, reason);
}

/** Offset after the closing delimiter; a backslash escapes the next character. */
function closing(expression: string, start: number, delimiter: '"' | '`'): number {
  for (let offset = start + 1; offset < expression.length; offset += expression[offset] === '\\' ? 2 : 1) {
    if (expression[offset] === delimiter) {
      return offset + 1;
    }
  }
  throw unclosed(start, delimiter);
}

/** `\'` is always a quote, even after another backslash: Go reads `'\\'` as unclosed. */
function rawString(expression: string, start: number): Token {
  for (let offset = start + 1; offset < expression.length; offset++) {
    if (expression[offset] === "'") {
      const value = expression.slice(start + 1, offset).replaceAll("\\'", "'");
      return { kind: 'literal', start, end: offset + 1, value };
    }
    if (expression.startsWith("\\'", offset)) {
      offset++;
    }
  }
  throw unclosed(start, "'");
}

function unclosed(start: number, delimiter: string): ExpressionSyntaxError {
  return new ExpressionSyntaxError(start, `the closing ${delimiter} is missing`);
}

/** Go has no lone surrogates: its JSON decoder replaces them with U+FFFD. */
function wellFormed(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, '\ufffd');
}

function match(pattern: RegExp, text: string, offset: number): string {
  pattern.lastIndex = offset;
  return pattern.exec(text)?.[0] ?? '';
}
