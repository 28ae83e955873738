const shown = 120;
// Control and format characters (including those that change the direction of text), lone surrogates, line separators.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** Text that stays on its line and cannot control a terminal. */
export function oneLine(text: string): string {
  return text.replace(unprintable, '\ufffd');
}

/**
 * Makes untrusted text safe for an error message or a log line: at most 120 characters, everything but printable ASCII
 * escaped, in double quotes.
 */
export function quoteInput(text: string): string {
  const head = text.length > shown ? text.slice(0, shown) : text;
  const escaped = head.replace(/[^\x20-\x7e]|["\\]/g, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return text.length > shown ? `"${escaped}…" (${text.length} characters)` : `"${escaped}"`;
}
