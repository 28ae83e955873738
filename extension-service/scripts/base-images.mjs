/**
 * Resolves the base images of the Dockerfile to digests and prints them as build arguments: node scripts/base-images.mjs
 * [--registry URL]. Asks Docker Hub, or the given mirror of it. Ends with 1, and prints no argument, when one image cannot
 * be resolved: the Dockerfile does not build without digests.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Build argument, repository and tag. Any Debian with apt; of Node's image only the file /usr/local/bin/node is used. */
export const BASE_IMAGES = [
  ['BASE', 'library/debian', 'trixie-slim'],
  ['NODE', 'library/node', '24.21.0-trixie-slim'],
];

const DOCKER_HUB = 'https://registry-1.docker.io';
const REQUEST_TIMEOUT_MS = 30_000;
const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');

/** @returns `NAME@sha256:…` @throws Error that names the image */
export async function resolveDigest(registry, repository, tag) {
  const image = `${new URL(registry).host}/${repository}:${tag}`;
  const url = `${registry}/v2/${repository}/manifests/${tag}`;
  const head = (headers) =>
    fetch(url, {
      method: 'HEAD',
      headers: { Accept: ACCEPT, ...headers },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  let answer;
  try {
    answer = await head({});
    if (answer.status === 401) answer = await head(await authorization(answer.headers.get('www-authenticate') ?? ''));
  } catch (error) {
    throw new Error(`${image}: the registry cannot be reached: ${error.cause?.message ?? error.message}`, {
      cause: error,
    });
  }
  if (answer.status !== 200) throw new Error(`${image}: the registry answered ${answer.status}`);
  const digest = answer.headers.get('docker-content-digest') ?? '';
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`${image}: the registry gave no digest`);
  const name =
    registry === DOCKER_HUB ? repository.replace(/^library\//, '') : `${new URL(registry).host}/${repository}`;
  return `${name}@${digest}`;
}

/** An anonymous token, as the registry's challenge asks for it (distribution spec, token authentication). */
async function authorization(challenge) {
  const parameters = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
  const realm = parameters.get('realm');
  if (!/^bearer /i.test(challenge) || realm === undefined) throw new Error('the registry asks for credentials');
  const url = new URL(realm);
  for (const key of ['service', 'scope']) if (parameters.has(key)) url.searchParams.set(key, parameters.get(key));
  const answer = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`the token server answered ${answer.status}`);
  const { token, access_token: accessToken } = await answer.json();
  return { Authorization: `Bearer ${token ?? accessToken}` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { registry: { type: 'string', default: DOCKER_HUB } } });
  const registry = values.registry.replace(/\/+$/, '');
  const resolve = async ([argument, repository, tag]) =>
    `--build-arg ${argument}=${await resolveDigest(registry, repository, tag)}`;
  try {
    console.log((await Promise.all(BASE_IMAGES.map(resolve))).join(' '));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
