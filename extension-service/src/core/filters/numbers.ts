const DIGITS = '[0-9](?:_?[0-9])*';
const HEX = '[0-9a-f](?:_?[0-9a-f])*';
const DECIMAL = new RegExp(`^[+-]?(?:${DIGITS}(?:\\.(?:${DIGITS})?)?|\\.${DIGITS})(?:e[+-]?${DIGITS})?$`, 'i');
const HEXADECIMAL = new RegExp(`^([+-]?)0x(?:_?(${HEX})(?:\\.(${HEX})?)?|\\.(${HEX}))p([+-]?${DIGITS})$`, 'i');
const INFINITY = /^([+-]?)inf(?:inity)?$/i;
const NOT_A_NUMBER = /^nan$/i;

/**
 * Go's strconv.ParseFloat, for `to_number`: no surrounding space, no `0x10`, but `0x1p4`, `1_000`, `Inf` and `NaN`.
 *
 * @returns null if the text is not a number, or exceeds a float64
 */
export function parseNumber(text: string): number | null {
  if (DECIMAL.test(text)) {
    return finite(Number(text.replaceAll('_', '')));
  }
  const infinity = INFINITY.exec(text);
  if (infinity !== null) {
    return infinity[1] === '-' ? -Infinity : Infinity;
  }
  if (NOT_A_NUMBER.test(text)) {
    return NaN;
  }
  const hex = HEXADECIMAL.exec(text);
  return hex === null ? null : parseHexadecimal(hex);
}

function parseHexadecimal(match: RegExpExecArray): number | null {
  const part = (index: number): string => (match[index] ?? '').replaceAll('_', '');
  const fraction = part(3) + part(4);
  let value = Number(BigInt(`0x${part(2)}${fraction}`));
  // In steps, because 2 ** power can be beyond a float64 when the product is not. Past ±5000 nothing changes any more.
  let power = clamp(Number(part(5)) - 4 * fraction.length, 5000);
  while (power !== 0) {
    const step = clamp(power, 1000);
    value *= 2 ** step;
    power -= step;
  }
  return finite(match[1] === '-' ? -value : value);
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
