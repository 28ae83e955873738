/** Deepest nesting of JSON from outside: OCI documents have 6 levels, Pods about 15, managed fields about 25. */
export const MAX_JSON_DEPTH = 100;

/** The text is longer or deeper than JSON of its kind; it was not parsed. */
export class JsonBoundsError extends Error {
  override readonly name = 'JsonBoundsError';
}

/**
 * JSON.parse for text from outside. Parsing costs far more for text that is nested without end than for any document of
 * the same length, so length and depth are counted first, in one pass.
 *
 * @param most characters; by default any number, for text whose reader has bounded it
 * @throws JsonBoundsError for text beyond the bounds, SyntaxError for text that is not JSON
 */
export function parseBoundedJson(text: string, most = text.length, depth = MAX_JSON_DEPTH): unknown {
  if (text.length > most) throw new JsonBoundsError(`the JSON is longer than ${most} characters`);
  if (isDeeper(text, depth)) throw new JsonBoundsError(`the JSON is nested more than ${depth} levels deep`);
  return JSON.parse(text) as unknown;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;

/** Whether brackets outside of strings are open more than `most` deep anywhere; text that is not JSON may be either. */
function isDeeper(text: string, most: number): boolean {
  let open = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at + 1);
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      if (++open > most) return true;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) open--;
  }
  return false;
}

/** Where the string that begins at `from` has its closing quote; the end of the text without one. */
function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at >= 0 && isEscaped(text, at, from)) at = text.indexOf('"', at + 1);
  return at < 0 ? text.length : at;
}

function isEscaped(text: string, at: number, from: number): boolean {
  let backslashes = 0;
  while (at - 1 - backslashes >= from && text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}
