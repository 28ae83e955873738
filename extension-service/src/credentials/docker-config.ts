import type { Credentials } from '../registry/types.js';

/** One entry of a Docker config: whose credentials these are. */
export interface DockerConfigEntry {
  /** As written: `https://index.docker.io/v1/`, `ghcr.io`, `*.example.com`, `gcr.io/project`. */
  readonly key: string;
  readonly credentials: Credentials;
}

/** A document that cannot be used. The message names where it came from and never what is in it. */
export class DockerConfigError extends Error {
  override readonly name = 'DockerConfigError';
}

/**
 * Reads a Docker `config.json` or the content of a Secret of type kubernetes.io/dockerconfigjson (`{"auths": {…}}`) or
 * kubernetes.io/dockercfg (the inner map alone). Entries without credentials, as `docker login` leaves them when a
 * credential helper keeps the password, are left out. `origin` names the file or Secret in errors.
 */
export function parseDockerConfig(text: string, origin: string): DockerConfigEntry[] {
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    // The parser's message would quote the document.
    throw new DockerConfigError(`${origin} is not JSON`);
  }
  if (!isObject(json)) throw new DockerConfigError(`${origin} is not a JSON object`);
  const auths = json['auths'] ?? (looksLikeDockercfg(json) ? json : {});
  if (!isObject(auths)) throw new DockerConfigError(`${origin}: "auths" is not an object`);
  return Object.entries(auths).flatMap(([key, value]) => {
    if (!isObject(value)) throw new DockerConfigError(`${origin}: the entry for ${key} is not an object`);
    const credentials = parseEntry(value, `${origin}: the entry for ${key}`);
    return credentials === undefined ? [] : [{ key, credentials }];
  });
}

/**
 * The credentials for a repository, the most specific key first, as the kubelet orders them. A key matches when its host
 * does (each label may hold `*`, the number of labels must agree), its port does, and its path is a prefix of the
 * repository. All names of Docker Hub are one.
 */
export function matchDockerConfig(
  entries: readonly DockerConfigEntry[],
  host: string,
  repository: string,
): readonly Credentials[] {
  return entries
    .map(({ key, credentials }) => ({ ...parseKey(key), credentials }))
    .filter((entry) => matchesHost(entry.host, canonicalHost(host)) && matchesPath(entry.path, repository))
    .sort((a, b) => specificity(b) - specificity(a))
    .map((entry) => entry.credentials);
}

function parseEntry(entry: Readonly<Record<string, unknown>>, where: string): Credentials | undefined {
  const text = (name: string): string => {
    const value = entry[name];
    return typeof value === 'string' ? value : '';
  };
  if (text('registrytoken') !== '') return { registryToken: text('registrytoken') };
  if (text('identitytoken') !== '') return { identityToken: text('identitytoken') };
  const auth = text('auth').trim();
  if (auth !== '') {
    const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = decoded.indexOf(':');
    if (colon <= 0) throw new DockerConfigError(`${where} has an "auth" that is not base64 of username:password`);
    return checked({ username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }, where);
  }
  if (text('username') === '') return undefined;
  return checked({ username: text('username'), password: text('password') }, where);
}

function checked(credentials: { readonly username: string; readonly password: string }, where: string): Credentials {
  if (/[\r\n]/.test(credentials.username)) throw new DockerConfigError(`${where} has a line break in its username`);
  // The docker command line's mark for an identity token that came from a credential helper.
  return credentials.username === '<token>' ? { identityToken: credentials.password } : credentials;
}

function looksLikeDockercfg(json: Readonly<Record<string, unknown>>): boolean {
  return Object.values(json).some((value) => isObject(value) && ('auth' in value || 'username' in value));
}

const HUB_HOSTS: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return HUB_HOSTS.has(lower) ? 'docker.io' : lower;
}

/** Drops the scheme and the API version that `docker login` writes. */
function parseKey(key: string): { readonly host: string; readonly path: string } {
  const bare = key.trim().replace(/^https?:\/\//i, '');
  const slash = bare.indexOf('/');
  const host = slash < 0 ? bare : bare.slice(0, slash);
  const path = slash < 0 ? '' : bare.slice(slash + 1).replace(/\/+$/, '');
  return { host: canonicalHost(host), path: path === 'v1' || path === 'v2' ? '' : path };
}

function matchesHost(pattern: string, host: string): boolean {
  const [name = '', port] = splitPort(host);
  const [patternName = '', patternPort] = splitPort(pattern);
  // A key without a port is for the default port only: another port is another service.
  if ((patternPort ?? '443') !== (port ?? '443')) return false;
  if (!patternName.includes('*')) return patternName === name;
  const labels = name.split('.');
  const patterns = patternName.split('.');
  return labels.length === patterns.length && patterns.every((glob, index) => matchesLabel(glob, labels[index] ?? ''));
}

function splitPort(host: string): [string, string | undefined] {
  const match = /^(.*?)(?::(\d+))?$/.exec(host);
  return [match?.[1] ?? host, match?.[2]];
}

function matchesLabel(glob: string, label: string): boolean {
  const [first = '', ...rest] = glob.split('*');
  if (rest.length === 0) return glob === label;
  const last = rest.pop() ?? '';
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
  return prefix === '' || repository === prefix || repository.startsWith(`${prefix}/`);
}

function specificity({ host, path }: { readonly host: string; readonly path: string }): number {
  return path.length * 1000 + (host.includes('*') ? 0 : 500) + host.length;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
