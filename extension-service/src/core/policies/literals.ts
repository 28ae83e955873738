import { InvalidPolicyOptionError } from './problem.js';

/**
 * A CEL string literal for `text`, double-quoted.
 * Backslash and quote are the only printable characters that need an escape (CEL specification, "Lexis").
 */
export function celString(text: string, option: string): string {
  refuseUnquotable(text, option);
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** A CEL map of strings. */
export function celStringMap(entries: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(entries).map(([key, value]) => `${celString(key, key)}: ${celString(value, key)}`);
  return `{${pairs.join(', ')}}`;
}

/**
 * A JMESPath literal for `text`: a raw string, single-quoted, or for a text with what Kyverno's templates are made of, JSON
 * in backticks, which has escapes for that.
 * A backslash is refused: the grammar of raw strings has only the escape `\'`, so a backslash before the closing quote
 * cannot be written, and implementations differ about one elsewhere.
 */
export function jmespathString(text: string, option: string): string {
  refuseUnquotable(text, option);
  refuseBackslash(text, option);
  return TEMPLATE.test(text) ? `\`${escapedJson(text)}\`` : `'${text.replaceAll("'", "\\'")}'`;
}

/** A quoted JMESPath identifier for `text`: the key of an object whatever it is made of. */
export function jmespathIdentifier(text: string, option: string): string {
  refuseUnquotable(text, option);
  refuseBackslash(text, option);
  return escapedJson(text);
}

/**
 * Between `{{` and `}}` Kyverno takes braces only in pairs, whatever quotes are around them, and `$(…)` is a reference to
 * it: with one brace, the whole condition is a text that is never equal to what is asked, and the policy does nothing.
 */
const TEMPLATE = /[{}$]/;

function escapedJson(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[{}$]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Refuses text that no quotes make safe: `{{` starts a Kyverno variable and a backtick a JMESPath literal wherever they
 * stand, a line end ends a YAML scalar or a CEL string, and invisible characters hide what the policy says.
 */
export function refuseUnquotable(text: string, option: string): void {
  const problem = unquotable(text);
  if (problem !== undefined) {
    throw new InvalidPolicyOptionError(option, `${JSON.stringify(text)} contains ${problem}; remove it`);
  }
}

/** Whether every literal above can hold the text. */
export function isQuotable(text: string): boolean {
  return unquotable(text) === undefined && !text.includes('\\');
}

function unquotable(text: string): string | undefined {
  return /[\p{C}\p{Zl}\p{Zp}]/u.test(text)
    ? 'a line break, control character or invisible character'
    : text.includes('`')
      ? 'a backtick'
      : text.includes('{{')
        ? '"{{", which Kyverno reads as a variable'
        : undefined;
}

function refuseBackslash(text: string, option: string): void {
  if (text.includes('\\')) {
    throw new InvalidPolicyOptionError(option, `${JSON.stringify(text)} contains a backslash; remove it`);
  }
}
