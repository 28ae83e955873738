/** Maximum nesting of JSON from outside: OCI documents have 6 levels, Pods about 15, managed fields about 25. */
export const MAX_JSON_DEPTH = 100;

/** The text is longer or deeper than valid documents of its kind; it was not parsed. */
export class JsonBoundsError extends Error {
  override readonly name = 'JsonBoundsError';
}

/**
 * JSON.parse for text from outside. Parsing deeply nested text costs far more than parsing a normal document of the
 * same length, so length and depth are checked first, in one pass.
 *
 * @param most maximum characters; by default unlimited, for text whose reader has limited it
 * @throws JsonBoundsError for text that exceeds a limit, SyntaxError for text that is not JSON
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

/**
 * Whether brackets outside strings are nested more than `most` deep; for text that is not JSON, the result may be
 * either.
 */
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

/** The position of the closing quote of the string that begins at `from`; the end of the text if there is none. */
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
