/** Maximum length of a Link header: a target with a page token, and a few parameters. */
const MAX_LINK_LENGTH = 8_192;

/**
 * The target of the first link with `rel=next`, quoted or not (RFC 8288, section 3; olareg omits the quotes). Undefined
 * if there is none. The target comes from the registry: the caller must validate it.
 */
export function nextLink(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_LINK_LENGTH) return undefined;
  let at = 0;
  for (;;) {
    const open = header.indexOf('<', at);
    const close = header.indexOf('>', open + 1);
    if (open < 0 || close < 0) return undefined;
    const end = endOfParameters(header, close + 1);
    if (isNext(header.slice(close + 1, end))) return header.slice(open + 1, close);
    at = end;
  }
}

/** The comma that ends a link's parameters, ignoring quoted ones. */
function endOfParameters(header: string, from: number): number {
  let quoted = false;
  for (let at = from; at < header.length; at++) {
    const character = header.charAt(at);
    if (quoted && character === '\\') at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === ',') return at;
  }
  return header.length;
}

const PARAMETER = /;\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))/g;

function isNext(parameters: string): boolean {
  for (const [, name = '', quoted, plain = ''] of parameters.matchAll(PARAMETER)) {
    if (name.toLowerCase() === 'rel')
      return (quoted ?? plain.replaceAll("'", '')).toLowerCase().split(/\s+/).includes('next');
  }
  return false;
}
