/** Maximum length of a Link header: a target with a page token, and a few parameters. */
const MAX_LINK_LENGTH = 8_192;

/**
 * The target of the first link with `rel=next`, quoted or not (RFC 8288, section 3; olareg omits the quotes). Undefined
 * if there is none. Targets without angle brackets are read too, as regclient and skopeo do. The target comes from the
 * registry: the caller must validate it.
 */
export function nextLink(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_LINK_LENGTH) return undefined;
  return /[<>]/.test(header) ? nextBracketed(header) : nextBare(header);
}

function nextBracketed(header: string): string | undefined {
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

/** Links of the form `target; rel=next`, separated by commas. */
function nextBare(header: string): string | undefined {
  for (let at = 0; at < header.length;) {
    const end = endOfParameters(header, at);
    const link = header.slice(at, end);
    const [target = ''] = link.trim().split(/[\s;]/, 1);
    if (target !== '' && isNext(link)) return target;
    at = end + 1;
  }
  return undefined;
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
