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
 * A JMESPath literal for `text`: a raw string in single quotes, or, for a text with characters of Kyverno's templates,
 * JSON in backticks, which can escape them. A backslash is rejected: the only escape in a raw string is `\'`, so a
 * backslash before the closing quote cannot be written, and implementations treat others differently.
 */
export function jmespathString(text: string, option: string): string {
  refuseUnquotable(text, option);
  refuseBackslash(text, option);
  return TEMPLATE.test(text) ? `\`${escapedJson(text)}\`` : `'${text.replaceAll("'", "\\'")}'`;
}

/** A quoted JMESPath identifier for `text`, which may be any object key. */
export function jmespathIdentifier(text: string, option: string): string {
  refuseUnquotable(text, option);
  refuseBackslash(text, option);
  return escapedJson(text);
}

/**
 * Between `{{` and `}}` Kyverno requires balanced braces, even inside quotes, and treats `$(…)` as a reference. With a
 * single brace, the whole condition becomes a text that never equals the expected value, and the policy does nothing.
 */
const TEMPLATE = /[{}$]/;

function escapedJson(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[{}$]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Rejects text that no quotes make safe: `{{` starts a Kyverno variable and a backtick a JMESPath literal anywhere, a
 * line break ends a YAML scalar or a CEL string, and invisible characters hide the meaning of the policy.
 */
export function refuseUnquotable(text: string, option: string): void {
  const problem = unquotable(text);
  if (problem !== undefined) {
    throw new InvalidPolicyOptionError(option, `${JSON.stringify(text)} contains ${problem}; remove it`);
  }
}

/** Whether every literal above can contain the text. */
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
