/**
 * How a source becomes the path of a target.
 *
 * The path is `SEGMENT/REPOSITORY`. For an ordinary source, both parts are the source's own: `docker.io/library/nginx`.
 * Some valid sources are not valid paths: no registry accepts the colons of ports and IPv6 addresses, and ECR does not
 * accept `__` and `--`. For these, the first segment gets a suffix after an underscore, which no host name contains, so
 * that the path differs from that of every ordinary source:
 *
 *     SEGMENT = BODY ["_ipv6" | "_host"] ["_x"] ["_" PORT]
 *
 * - `_5000`  the port. `registry.local:5000/app` → `registry.local_5000/app`
 * - `_ipv6`  BODY is an IPv6 address with `x` for each colon. `[::1]:5000/app` → `xx1_ipv6_5000/app`
 * - `_host`  BODY has no dot and no port and isn't `localhost`. `Intranet/app` → `intranet_host/app`. Without the mark,
 *            anyone's Pod could name a source that lands on the registry's own `intranet/app`.
 * - `_x`     in BODY and REPOSITORY, runs are written by their length: `a--b` → `a-x2-b`, `a__b` → `a_x2_b`; and a word
 *            that looks like such a length gets one more x: `x64` → `xx64`.
 *
 * Each part can be read back, so two sources never share a path.
 */
export interface SourceName {
  /** `host[:port]` as in a parsed reference. */
  readonly registry: string;
  readonly repository: string;
}

/** `single`: ECR's grammar, one separator between words. `any`: the OCI distribution spec's. */
export type Separators = 'single' | 'any';

export interface EncodedName {
  readonly segment: string;
  readonly repository: string;
}

const segmentPattern = /^([a-z0-9.-]+?)(_ipv6|_host)?(_x)?(?:_([0-9]+))?$/;
/** No path is longer than this, so no run is. */
const longestRun = 255;

/** The two parts of the target's path. Does not check their length. */
export function encodeName(source: SourceName, separators: Separators): EncodedName {
  const { host, port } = splitPort(source.registry);
  const ipv6 = host.startsWith('[');
  const body = ipv6 ? host.slice(1, -1).replaceAll(':', 'x') : host;
  const escaped = separators === 'single' && (hasRun(body) || hasRun(source.repository));
  const dotless = !ipv6 && port === undefined && !body.includes('.') && body !== 'localhost';
  const segment = [
    escaped ? escapeRuns(body) : body,
    ipv6 ? '_ipv6' : dotless ? '_host' : '',
    escaped ? '_x' : '',
    port === undefined ? '' : `_${port}`,
  ].join('');
  return { segment, repository: escaped ? escapeRuns(source.repository) : source.repository };
}

/**
 * The inverse of {@link encodeName}; `undefined` for names that it cannot return. Callers must encode the result again
 * and compare it, because some names that `encodeName` never returns can also be decoded (`a-x02-b`).
 */
export function decodeName(name: EncodedName): SourceName | undefined {
  const parts = segmentPattern.exec(name.segment);
  if (parts === null) return undefined;
  const [, encodedBody = '', kind, escape, port] = parts;
  const body = escape === undefined ? encodedBody : unescapeRuns(encodedBody);
  const repository = escape === undefined ? name.repository : unescapeRuns(name.repository);
  if (body === undefined || repository === undefined) return undefined;
  const host = kind === '_ipv6' ? `[${body.replaceAll('x', ':')}]` : body;
  return { registry: port === undefined ? host : `${host}:${port}`, repository };
}

function splitPort(registry: string): { readonly host: string; readonly port?: string } {
  const colon = registry.lastIndexOf(':');
  return colon < 0 || registry.endsWith(']')
    ? { host: registry }
    : { host: registry.slice(0, colon), port: registry.slice(colon + 1) };
}

function hasRun(text: string): boolean {
  return text.includes('--') || text.includes('__');
}

function escapeRuns(text: string): string {
  return text
    .replace(/(?<![a-z0-9])x+[0-9]+(?![a-z0-9])/g, 'x$&')
    .replace(/--+|__/g, (run) => `${run.charAt(0)}x${run.length}${run.charAt(0)}`);
}

function unescapeRuns(text: string): string | undefined {
  let legal = true;
  const runs = text.replace(/([-_])x([0-9]+)\1/g, (_match, separator: string, digits: string) => {
    const length = Number(digits);
    if (length <= longestRun) return separator.repeat(length);
    legal = false;
    return '';
  });
  return legal ? runs.replace(/(?<![a-z0-9])x(x+[0-9]+)(?![a-z0-9])/g, '$1') : undefined;
}
