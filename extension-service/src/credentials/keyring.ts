import type { Credentials } from '../registry/types.js';

/** Like `DockerConfigEntry`, with any value that a Docker config stores per registry. */
export interface KeyedEntry<T> {
  readonly key: string;
  readonly credentials: T;
}

/**
 * The credentials for a repository in the order in which the kubelet tries them: by key, in descending order of
 * characters. If one key is a prefix of another, the longer one therefore comes first, and `*` comes after any name;
 * equal keys keep their order. A key matches if its host has the same number of labels and each of them matches (`*`
 * stands for any characters of one label). Its port must be the same (or both have none), and its path must be a
 * literal prefix of the repository's name. For example, `r.io/team` matches `r.io/team/app` and `r.io/teams`, but
 * `r.io/team/` only the first.
 *
 * `docker.io` is matched like any other host. If nothing matches, the entries for index.docker.io are used, whose key
 * `docker login` writes as `https://index.docker.io/v1/`.
 *
 * In addition to the kubelet's rules, hosts are case-insensitive, `/v1` and `/v2` alone are not paths, and
 * registry-1.docker.io is Docker Hub.
 *
 * Source: pkg/credentialprovider/keyring.go of Kubernetes 1.36, which test/integration/real/kubelet-keyring.test.ts
 * runs.
 */
export function matchDockerConfig<T = Credentials>(
  entries: readonly KeyedEntry<T>[],
  host: string,
  repository: string,
): readonly T[] {
  const asked = host.toLowerCase();
  const isHub = asked === HUB || HUB_ALIASES.has(asked);
  const keys = entries.map(({ key, credentials }) => ({ ...parseKey(key), credentials }));
  const matching = keys.filter(
    (key) => matchesHost(key.host, isHub ? HUB : asked) && matchesPath(key.path, repository),
  );
  const found =
    matching.length === 0 && isHub ? keys.filter((key) => HUB_ALIASES.has(key.host) && key.path === '') : matching;
  // The sort is stable. It compares code units, since a locale would sort `*` and `/` differently.
  return found.sort((a, b) => descending(a.host + a.path, b.host + b.path)).map(({ credentials }) => credentials);
}

const HUB = 'docker.io';
const HUB_ALIASES: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io']);

interface Key {
  /** host[:port], in lower case. */
  readonly host: string;
  /** Starts with `/`, or is empty. */
  readonly path: string;
}

/** Drops the scheme, and the API version that `docker login` adds. */
function parseKey(key: string): Key {
  const [bare = ''] = key
    .trim()
    .replace(/^https?:\/\//i, '')
    .split(/[?#]/, 1);
  const slash = bare.indexOf('/');
  const authority = slash < 0 ? bare : bare.slice(0, slash);
  const path = (slash < 0 ? '' : bare.slice(slash)).replace(/^\/v[12](?=\/|$)/, '');
  // The part before an `@` is a user, as in any URL.
  const host = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase();
  return { host, path: path === '/' ? '' : path };
}

function matchesHost(pattern: string, host: string): boolean {
  const [name, port] = splitPort(host);
  const [patternName, patternPort] = splitPort(pattern);
  if (patternPort !== port) return false;
  const labels = name.split('.');
  const globs = patternName.split('.');
  return labels.length === globs.length && globs.every((glob, index) => matchesLabel(glob, labels[index] ?? ''));
}

function splitPort(host: string): [name: string, port: string] {
  const [, name = host, port = ''] = /^(.*):(\d*)$/.exec(host) ?? [];
  return [name, port];
}

/** No regular expression: a Secret's content must not make one slow. */
function matchesLabel(glob: string, label: string): boolean {
  const [first = '', ...rest] = glob.split('*');
  const last = rest.pop();
  if (last === undefined) return glob === label;
  if (!label.startsWith(first) || !label.endsWith(last) || label.length < first.length + last.length) return false;
  let middle = label.slice(first.length, label.length - last.length);
  for (const part of rest) {
    const at = middle.indexOf(part);
    if (at < 0) return false;
    middle = middle.slice(at + part.length);
  }
  return true;
}

function matchesPath(prefix: string, repository: string): boolean {
  return `/${repository}`.startsWith(prefix);
}

function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}
