import { createHash } from 'node:crypto';
import type { StartedRegistry } from './registry-process.js';
import type { Shape } from './shapes.js';

/** Number of parallel requests. */
const AT_ONCE = 8;
/** Timeout of one request. */
const MAX_TRIES = 4;

/** The refusal of a registry with its own message. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super(`${status} ${code}`.trim());
  }
}

/**
 * Puts a shape into a registry like a manual push: blobs, children, the tag. Plain HTTP, no retries.
 *
 * @throws RefusedError with the first refusal
 */
export async function push({ host, login }: StartedRegistry, repository: string, shape: Shape): Promise<void> {
  const base = `http://${host}/v2/${repository}`;
  const authorization = authorizationOf(login);
  for (const [digest, bytes] of shape.blobs) {
    const started = await checked(
      await fetch(`${base}/blobs/uploads/`, { method: 'POST', headers: authorization }),
      202,
    );
    const location = new URL(started.headers.get('location') ?? '', started.url);
    location.searchParams.set('digest', digest);
    const headers = { ...authorization, 'content-type': 'application/octet-stream' };
    await checked(await ask(location, { method: 'PUT', headers, body: new Uint8Array(bytes) }), 201);
  }
  for (const [index, { digest, mediaType, bytes, listTag }] of shape.manifests.entries()) {
    const reference = index === shape.manifests.length - 1 ? shape.tag : (listTag ?? digest);
    const headers = { ...authorization, 'content-type': mediaType };
    const init = { method: 'PUT', headers, body: new Uint8Array(bytes) };
    await checked(await ask(`${base}/manifests/${reference}`, init), 201);
  }
}

/**
 * Returns every blob and manifest of the shape that the registry does not return byte for byte. Empty when all are
 * correct.
 */
export async function missing(
  { host, login }: StartedRegistry,
  repository: string,
  shape: Shape,
): Promise<readonly string[]> {
  const base = `http://${host}/v2/${repository}`;
  const top = shape.manifests.at(-1);
  const wanted = [
    ...shape.manifests
      .filter(({ listTag }) => listTag === undefined)
      .map(({ digest, mediaType }) => ({ path: `manifests/${digest}`, digest, mediaType })),
    ...(top === undefined ? [] : [{ path: `manifests/${shape.tag}`, digest: top.digest, mediaType: top.mediaType }]),
    ...[...shape.blobs.keys()].map((digest) => ({ path: `blobs/${digest}`, digest, mediaType: '*/*' })),
  ];
  const lost: string[] = [];
  const look = async ({ path, digest, mediaType }: (typeof wanted)[number]): Promise<void> => {
    const response = await ask(`${base}/${path}`, { headers: { ...authorizationOf(login), accept: mediaType } });
    const bytes = Buffer.from(await response.arrayBuffer());
    const [algorithm = 'sha256'] = digest.split(':');
    const found = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
    if (response.status !== 200 || found !== digest) lost.push(`${path.slice(0, 40)}: ${response.status}`);
  };
  // Requests run in parallel because some registries need a tenth of a second for each.
  for (let start = 0; start < wanted.length; start += AT_ONCE) {
    await Promise.all(wanted.slice(start, start + AT_ONCE).map(look));
  }
  for (const { listTag, bytes } of shape.manifests) {
    // The mirror has a separate list with the same entries.
    if (listTag !== undefined) lost.push(...(await unlisted(base, listTag, bytes, login)));
  }
  return lost.sort();
}

/** Returns the entries of a referrers list that are missing in the list with the tag. */
async function unlisted(
  base: string,
  tag: string,
  wanted: Buffer,
  login: StartedRegistry['login'],
): Promise<readonly string[]> {
  const accept = 'application/vnd.oci.image.index.v1+json';
  const response = await ask(`${base}/manifests/${tag}`, { headers: { ...authorizationOf(login), accept } });
  const digestsOf = (text: string): readonly string[] =>
    ((JSON.parse(text) as { manifests?: { digest: string }[] }).manifests ?? []).map(({ digest }) => digest);
  const found = response.status === 200 ? digestsOf(await response.text()) : [];
  return digestsOf(wanted.toString()).flatMap((digest) =>
    found.includes(digest) ? [] : [`listed as referrer: ${digest}`],
  );
}

/** Returns basic authentication, which each registry with logins accepts. */
export function authorizationOf(login: StartedRegistry['login']): Readonly<Record<string, string>> {
  if (login === undefined) return {};
  const pair = Buffer.from(`${login.username}:${login.password}`).toString('base64');
  return { authorization: `Basic ${pair}` };
}

/** Some servers close a connection while the next request is being sent, so the request is retried. */
async function ask(url: URL | string, init: RequestInit): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fetch(url, init);
    } catch (error) {
      if (tries === MAX_TRIES) throw error;
    }
  }
}

async function checked(response: Response, expected: number): Promise<Response> {
  if (response.status === expected) {
    await response.arrayBuffer();
    return response;
  }
  const text = await response.text();
  const code = /"code": ?"([A-Z_]+)"/.exec(text)?.[1] ?? '';
  throw new RefusedError(response.status, code);
}
