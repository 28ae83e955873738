import { gzipSync } from 'node:zlib';
import type { Misbehavior, ProxyAnswer, ProxyRequest } from './misbehaving-proxy.js';

export type End = 'source' | 'target';

export interface NamedMisbehavior {
  readonly name: string;
  /** The ends of a copy (source, target) that the misbehavior affects. */
  readonly ends: readonly End[];
  /** Creates a misbehavior with its own state. `backend` is the host:port of the registry itself. */
  make(backend: string): Misbehavior;
  /** Value of `oci.uploadChunk`, bytes. */
  readonly uploadChunk?: number;
}

const BOTH: readonly End[] = ['source', 'target'];
const MANIFEST = /\/manifests\//;
const BLOB = /\/blobs\/sha256:/;
const UPLOAD = /\/blobs\/uploads\/./;
const UPLOADS = /\/blobs\/uploads\/$/;
/** Maximum bytes of a request body that a proxy accepts. */
const BODY_LIMIT = 16 * 1024;

function status(code: number, headers: Readonly<Record<string, string>> = {}, body = ''): ProxyAnswer {
  return { status: code, headers, body: Buffer.from(body) };
}

function problem(code: number, name: string, headers: Readonly<Record<string, string>> = {}): ProxyAnswer {
  const body = JSON.stringify({ errors: [{ code: name, message: 'the proxy misbehaves' }] });
  return status(code, { 'content-type': 'application/json', ...headers }, body);
}

function without(answer: ProxyAnswer, ...names: readonly string[]): ProxyAnswer {
  const kept = Object.entries(answer.headers).filter(([name]) => !names.includes(name));
  return { ...answer, headers: Object.fromEntries(kept) };
}

/** Returns true for the first `times` requests with each key. */
function first(times: number): (key: string) => boolean {
  const seen = new Map<string, number>();
  return (key) => {
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count <= times;
  };
}

/** Rejects HEAD requests for paths that match the pattern. GET works. */
function heads(pattern: RegExp, answer: ProxyAnswer): Misbehavior {
  return { replace: ({ method, path }) => (method === 'HEAD' && pattern.test(path) ? answer : undefined) };
}

/** Rewrites the Location of an upload. */
function location(spell: (url: URL) => string): Misbehavior {
  return {
    change(request, answer) {
      const given = answer.headers['location'];
      if (given === undefined || !request.path.includes('/blobs/uploads/')) return answer;
      const url = new URL(given, `http://${request.host}`);
      // The upload state is the registry's own. Only the spelling of its URL changes.
      return { ...answer, headers: { ...answer.headers, location: spell(url) } };
    },
  };
}

/** Fails each request once before it is served. */
function failsOnce(answer: ProxyAnswer): Misbehavior {
  const fails = first(1);
  return {
    replace({ method, path, query }) {
      // Each upload has its own URL. A retry of the same layer has a different URL.
      const name = path.replace(/uploads\/.+/, `uploads/${query.get('digest') ?? ''}`);
      return path !== '/v2/' && fails(`${method} ${name}`) ? answer : undefined;
    },
  };
}

/** Resets the first three responses of each blob after two thirds of the body. */
function cuts(headers: readonly string[]): Misbehavior {
  const isCut = first(3);
  return {
    strippedHeaders: headers,
    change: ({ method, path }, answer) =>
      method === 'GET' && BLOB.test(path) && answer.body.length > 1_000 && isCut(path)
        ? { ...answer, cutAfter: Math.ceil((answer.body.length * 2) / 3) }
        : answer,
  };
}

/** Issues a token for each scope that expires after twelve requests. */
function shortTokens(): Misbehavior {
  const left = new Map<string, number>();
  let issued = 0;
  return {
    replace({ path, headers, host, query }) {
      if (path === '/token') {
        const token = `token-${(issued += 1)}-${query.getAll('scope').join(',').length}`;
        left.set(token, 12);
        return status(200, { 'content-type': 'application/json' }, JSON.stringify({ token, expires_in: 300 }));
      }
      const token = (headers.authorization ?? '').replace('Bearer ', '');
      const uses = left.get(token) ?? 0;
      left.set(token, uses - 1);
      if (uses > 0) return undefined;
      const name = /^\/v2\/(.+?)\/(?:manifests|blobs|referrers|tags)\//.exec(path)?.[1];
      const scope = name === undefined ? '' : `,scope="repository:${name}:pull,push"`;
      const challenge = `Bearer realm="http://${host}/token",service="proxy"${scope},error="invalid_token"`;
      return problem(401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    },
    strippedHeaders: ['authorization'],
  };
}

/** Redirects everything except `/v2/` to the registry's own host. */
function moved(code: number, backend: string): Misbehavior {
  return {
    replace: ({ path, query }) =>
      path === '/v2/'
        ? undefined
        : status(code, { location: `http://${backend}${path}${query.size === 0 ? '' : `?${query.toString()}`}` }),
  };
}

function isLarge({ headers }: ProxyRequest): boolean {
  return Number(headers['content-length'] ?? BODY_LIMIT + 1) > BODY_LIMIT;
}

export const MISBEHAVIORS: readonly NamedMisbehavior[] = [
  { name: 'HEAD of manifests is 405', ends: BOTH, make: () => heads(MANIFEST, status(405)) },
  { name: 'HEAD of manifests is 403', ends: BOTH, make: () => heads(MANIFEST, status(403)) },
  { name: 'HEAD of manifests is 500', ends: BOTH, make: () => heads(MANIFEST, status(500)) },
  { name: 'HEAD of manifests is 404 and GET is 200', ends: BOTH, make: () => heads(MANIFEST, status(404)) },
  { name: 'HEAD of blobs is 403', ends: BOTH, make: () => heads(BLOB, status(403)) },
  { name: 'HEAD of blobs is 405', ends: BOTH, make: () => heads(BLOB, status(405)) },
  {
    name: 'blobs are redirected to another host, which refuses HEAD',
    ends: BOTH,
    make: (backend) => ({
      replace: ({ method, path }) =>
        BLOB.test(path) && (method === 'GET' || method === 'HEAD')
          ? status(307, { location: `http://${backend}${path}?X-Amz-Signature=a%2Fb` })
          : undefined,
    }),
  },
  ...[301, 302, 307, 308].map((code) => ({
    name: `everything is moved by ${code}`,
    // 301 and 302 turn a POST into a GET.
    ends: code < 307 ? (['source'] as const) : BOTH,
    make: (backend: string) => moved(code, backend),
  })),
  {
    name: 'Location is relative to the request',
    ends: ['target'],
    make: () => location((url) => `${url.pathname.split('/').at(-1) ?? ''}${url.search}`),
  },
  {
    name: 'Location is relative with a dot',
    ends: ['target'],
    make: () => location((url) => `./${url.pathname.split('/').at(-1) ?? ''}${url.search}`),
  },
  { name: 'Location is an absolute path', ends: ['target'], make: () => location((url) => url.pathname + url.search) },
  { name: 'Location has no scheme', ends: ['target'], make: () => location((url) => url.href.replace('http:', '')) },
  { name: 'Location has a fragment', ends: ['target'], make: () => location((url) => `${url.href}#upload`) },
  {
    name: 'Location has a query that ends with &',
    ends: ['target'],
    make: () => location((url) => `${url.href}${url.search === '' ? '?' : '&'}a=b%20c&`),
  },
  {
    name: 'the first upload of each layer is lost',
    ends: ['target'],
    make: () => {
      const isLost = first(2);
      return {
        replace: ({ method, path }) =>
          method !== 'DELETE' && UPLOAD.test(path) && isLost('any') ? problem(404, 'BLOB_UPLOAD_UNKNOWN') : undefined,
      };
    },
  },
  {
    name: 'a manifest is refused while its layers lag',
    ends: ['target'],
    make: () => {
      const lags = first(1);
      return {
        replace: ({ method, path }) =>
          method === 'PUT' && MANIFEST.test(path) && lags(path) ? problem(404, 'MANIFEST_BLOB_UNKNOWN') : undefined,
      };
    },
  },
  {
    name: 'an early 413 above a limit, with chunks below it',
    ends: ['target'],
    uploadChunk: BODY_LIMIT,
    make: () => ({
      refuse: (request) =>
        ['PUT', 'PATCH'].includes(request.method) && isLarge(request) ? status(413, {}, '<html>') : undefined,
    }),
  },
  {
    name: 'chunks have a minimum',
    ends: ['target'],
    uploadChunk: 1_000,
    make: () => ({
      change: ({ path }, answer) =>
        UPLOADS.test(path) ? { ...answer, headers: { ...answer.headers, 'oci-chunk-min-length': '20000' } } : answer,
    }),
  },
  ...[200, 202, 204].map((code) => ({
    name: `a finished upload is answered ${code}`,
    ends: ['target'] as const,
    make: (): Misbehavior => ({
      change: ({ method, path }, answer) =>
        method === 'PUT' && UPLOAD.test(path) && answer.status === 201 ? { ...answer, status: code } : answer,
    }),
  })),
  { name: 'tokens die after twelve requests', ends: BOTH, make: shortTokens },
  {
    name: 'gzip is added though nobody asked',
    ends: BOTH,
    make: () => ({
      change: ({ method }, answer) =>
        method === 'GET' && answer.status === 200 && answer.headers['content-encoding'] === undefined
          ? { ...answer, body: gzipSync(answer.body), headers: { ...answer.headers, 'content-encoding': 'gzip' } }
          : answer,
    }),
  },
  { name: 'layers break off and go on by Range', ends: ['source'], make: () => cuts([]) },
  { name: 'layers break off and there is no Range', ends: ['source'], make: () => cuts(['range']) },
  {
    name: 'answers have no length',
    ends: BOTH,
    make: () => ({
      change: ({ method }, answer) => (method === 'GET' ? { ...answer, unframed: true } : answer),
    }),
  },
  {
    name: 'connections close behind each answer',
    ends: BOTH,
    make: () => ({ change: (_, answer) => ({ ...answer, closes: true }) }),
  },
  {
    name: 'no Docker-Content-Digest',
    ends: BOTH,
    make: () => ({ change: (_, answer) => without(answer, 'docker-content-digest') }),
  },
  {
    name: 'Content-Type of manifests has a charset',
    ends: BOTH,
    make: () => ({
      change: ({ path }, answer) => {
        const type = answer.headers['content-type'];
        if (!MANIFEST.test(path) || type === undefined) return answer;
        return { ...answer, headers: { ...answer.headers, 'content-type': `${type}; charset=utf-8` } };
      },
    }),
  },
  {
    name: 'Content-Type of manifests is octet-stream',
    ends: BOTH,
    make: () => ({
      change: ({ path }, answer) =>
        MANIFEST.test(path) && answer.status === 200
          ? { ...answer, headers: { ...answer.headers, 'content-type': 'application/octet-stream' } }
          : answer,
    }),
  },
  {
    name: 'each request is throttled once',
    ends: BOTH,
    make: () => failsOnce(problem(429, 'TOOMANYREQUESTS', { 'retry-after': '0' })),
  },
  {
    name: 'each request is answered by a gateway once',
    ends: BOTH,
    make: () => failsOnce(status(503, { 'content-type': 'text/html' }, '<html><title>Busy</title></html>')),
  },
  {
    name: 'the list of referrers is an HTML page',
    ends: BOTH,
    make: () => ({
      replace: ({ path }) =>
        path.includes('/referrers/') ? status(200, { 'content-type': 'text/html' }, '<html></html>') : undefined,
    }),
  },
  {
    name: 'the list of referrers is 303',
    ends: BOTH,
    make: () => ({
      replace: ({ path, host }) =>
        path.includes('/referrers/') ? status(303, { location: `http://${host}/login` }) : undefined,
    }),
  },
];
