/** One challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1); names of parameters are in lower case. */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const PARAMETER = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;

const NEXT_CHALLENGE = /\s+[A-Za-z][A-Za-z0-9-]*\s+[A-Za-z_]+\s*=/y;

/**
 * A header may contain several challenges, quoted parameters may contain commas (scopes do), and Node joins repeated
 * headers with a comma. Some registries put a semicolon between parameters, or each scope in a separate parameter. An
 * unreadable part ends the list, but earlier challenges still count.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let at = 0;
  while (at < header.length) {
    at = skip(header, at, /[\s,]*/y);
    const scheme = take(header, at, TOKEN);
    if (scheme === undefined) break;
    at += scheme[0].length;
    const parameters = new Map<string, string>();
    for (;;) {
      const match = take(header, skip(header, at, /[\s,;]*/y), PARAMETER);
      if (match === undefined) break;
      at = match.index + match[0].length;
      const name = (match[1] ?? '').toLowerCase();
      const value = match[2] === undefined ? (match[3] ?? '') : match[2].replace(/\\(.)/g, '$1');
      const before = parameters.get(name);
      if (before === undefined) parameters.set(name, value);
      else if (name === 'scope') parameters.set(name, `${before} ${value}`);
    }
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters });
    // Some servers put nothing between two challenges. A token68 (`Negotiate YII=`) is not useful here.
    if (take(header, at, NEXT_CHALLENGE) === undefined) at = skip(header, at, /[^,]*/y);
  }
  return challenges;
}

function take(text: string, at: number, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function skip(text: string, at: number, pattern: RegExp): number {
  return at + (take(text, at, pattern)?.[0].length ?? 0);
}
