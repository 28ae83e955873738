/** How a scalar was written (YAML 1.2, sections 7.3 and 8.1). */
export type ScalarStyle = 'PLAIN' | 'QUOTE_SINGLE' | 'QUOTE_DOUBLE' | 'BLOCK_LITERAL' | 'BLOCK_FOLDED';

export interface ScalarText {
  readonly style: ScalarStyle;
  readonly value: string;
  /** The whole file. */
  readonly text: string;
  /** Offsets of the scalar in the file: from its first quote, or the `|` of a block. */
  readonly start: number;
  readonly end: number;
}

/**
 * The place in the file of the character at `offset` of the value; undefined if it is unknown (folded lines). The
 * offset after the value, where an unexpected end is reported, counts as the end of the last line.
 */
export function offsetInFile(scalar: ScalarText, offset: number): number | undefined {
  const written = scalar.text.slice(scalar.start, scalar.end);
  switch (scalar.style) {
    case 'PLAIN':
      return written === scalar.value ? scalar.start + offset : undefined;
    case 'QUOTE_SINGLE':
      return /[\r\n]/.test(written) ? undefined : scalar.start + afterEscapes(written, offset, /''|./gsu);
    case 'QUOTE_DOUBLE':
      return /[\r\n]/.test(written)
        ? undefined
        : scalar.start + afterEscapes(written, offset, /\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|./gsu);
    case 'BLOCK_LITERAL':
      return inLiteral(scalar, offset);
    case 'BLOCK_FOLDED':
      return undefined;
  }
}

/** Length of the quote and of the source text of the first `offset` characters. */
function afterEscapes(written: string, offset: number, unit: RegExp): number {
  let length = 1;
  let passed = 0;
  unit.lastIndex = 1;
  while (passed < offset) {
    const match = unit.exec(written);
    if (match === null) break;
    length += match[0].length;
    // Outside the basic plane one unit of the file stands for two of the value.
    passed += match[0].startsWith('\\U') || (match[0].codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
  }
  return length;
}

function inLiteral({ value, text, start }: ScalarText, offset: number): number | undefined {
  const lines = value.slice(0, offset).split('\n');
  // The header's own line has no content.
  let line = text.indexOf('\n', start) + 1;
  for (let index = 1; index < lines.length; index++) line = text.indexOf('\n', line) + 1;
  if (line === 0) return undefined;
  const lineEnd = text.indexOf('\n', line);
  const written = text.slice(line, lineEnd < 0 ? text.length : lineEnd).replace(/\r$/, '');
  const wanted = value.split('\n')[lines.length - 1] ?? '';
  if (!written.endsWith(wanted)) return undefined;
  return line + written.length - wanted.length + (lines.at(-1) ?? '').length;
}
