import { InvalidPolicyOptionError } from './problem.js';

/**
 * A CEL string literal for `text`, double-quoted.
 * Backslash and quote are the only printable characters that need an escape (CEL specification, "Lexis").
 */
export function celString(text: string, option: string): string {
  refuseUnquotable(text, option);
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/**
 * A JMESPath raw string literal for `text`, single-quoted.
 * A backslash is refused: the grammar has only the escape `\'`, so a backslash before the closing quote cannot be
 * written, and implementations differ about one elsewhere.
 */
export function jmespathString(text: string, option: string): string {
  refuseUnquotable(text, option);
  refuseBackslash(text, option);
  return `'${text.replaceAll("'", "\\'")}'`;
}

/** A quoted JMESPath identifier for `text`: the key of an object whatever it is made of. */
export function jmespathIdentifier(text: string, option: string): string {
  refuseUnquotable(text, option);
  refuseBackslash(text, option);
  return JSON.stringify(text);
}

/**
 * Refuses text that no quotes make safe: `{{` starts a Kyverno variable and a backtick a JMESPath literal wherever they
 * stand, a line end ends a YAML scalar or a CEL string, and invisible characters hide what the policy says.
 */
export function refuseUnquotable(text: string, option: string): void {
  const problem = /[\p{C}\p{Zl}\p{Zp}]/u.test(text)
    ? 'a line end, control or invisible character'
    : text.includes('`')
      ? 'a backtick'
      : text.includes('{{')
        ? '"{{", which Kyverno reads as a variable'
        : undefined;
  if (problem !== undefined) {
    throw new InvalidPolicyOptionError(option, `${JSON.stringify(text)} contains ${problem}; remove it`);
  }
}

function refuseBackslash(text: string, option: string): void {
  if (text.includes('\\')) {
    throw new InvalidPolicyOptionError(option, `${JSON.stringify(text)} contains a backslash; remove it`);
  }
}
