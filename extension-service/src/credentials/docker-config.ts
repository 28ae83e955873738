import { oneLine } from '../core/image/quote.js';
import { JsonBoundsError, parseBoundedJson } from '../core/json-bounds.js';
import type { Credentials } from '../registry/types.js';
import { isRecord } from '../util/is-record.js';

/** One entry of a Docker config: a registry and its credentials. */
export interface DockerConfigEntry {
  /** The original text: `https://index.docker.io/v1/`, `ghcr.io`, `*.example.com`, `gcr.io/project`. */
  readonly key: string;
  readonly credentials: Credentials;
}

/** Maximum size of a document in bytes: no Secret can be larger. */
export const MAX_CONFIG_BYTES = 1_048_576;
/** Maximum registries in one document. Each is an object in memory, many times the size of its text. */
const MAX_ENTRIES = 1_000;

/** An unusable document. The message names its origin but never its content. */
export class DockerConfigError extends Error {
  override readonly name = 'DockerConfigError';
}

/**
 * Parses a Docker `config.json` or the content of a Secret of type kubernetes.io/dockerconfigjson (`{"auths": {…}}`) or
 * kubernetes.io/dockercfg (the inner map alone). Entries without credentials, which `docker login` writes if a
 * credential helper stores the password, are skipped. `origin` names the file or Secret in errors.
 *
 * @param onUnusable receives the problem of each entry that cannot be used; the others are returned. Without it, such an
 * entry is an error.
 * @throws DockerConfigError
 */
export function parseDockerConfig(
  text: string,
  origin: string,
  onUnusable?: (problem: DockerConfigError) => void,
): DockerConfigEntry[] {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) throw new DockerConfigError(`${origin} is larger than 1 MiB`);
  let json: unknown;
  try {
    json = parseBoundedJson(text.replace(/^\uFEFF/, ''), MAX_CONFIG_BYTES);
  } catch (error) {
    if (error instanceof JsonBoundsError) throw new DockerConfigError(`${origin}: ${error.message}`);
    // The parser's message would quote the document.
    throw new DockerConfigError(`${origin} is not JSON`);
  }
  if (!isRecord(json)) throw new DockerConfigError(`${origin} is not a JSON object`);
  const auths = fieldOf(json, 'auths') ?? (looksLikeDockercfg(json) ? json : {});
  if (!isRecord(auths)) throw new DockerConfigError(`${origin}: "auths" is not an object`);
  const entries = Object.entries(auths);
  if (entries.length > MAX_ENTRIES) {
    throw new DockerConfigError(`${origin} has ${entries.length} entries; the maximum is ${MAX_ENTRIES}`);
  }
  return entries.flatMap(([key, value]) => {
    try {
      const credentials = parseEntry(value, `${origin}: the entry for ${shown(key)}`);
      return credentials === undefined ? [] : [{ key, credentials }];
    } catch (error) {
      if (onUnusable === undefined || !(error instanceof DockerConfigError)) throw error;
      onUnusable(error);
      return [];
    }
  });
}

/**
 * The value of a key, whose case is ignored unless the exact key exists: docker and the kubelet read these documents
 * with Go's encoding/json, so `identityToken` works for them.
 */
export function fieldOf(json: Readonly<Record<string, unknown>>, name: string): unknown {
  if (json[name] !== undefined) return json[name];
  const lower = name.toLowerCase();
  return Object.entries(json).find(([key]) => key.toLowerCase() === lower)?.[1];
}

function parseEntry(entry: unknown, where: string): Credentials | undefined {
  if (entry === null) return undefined;
  if (!isRecord(entry)) throw new DockerConfigError(`${where} is not an object`);
  const text = (name: string): string => {
    const value = fieldOf(entry, name);
    return typeof value === 'string' ? value : '';
  };
  if (text('registrytoken') !== '') return { registryToken: text('registrytoken') };
  if (text('identitytoken') !== '') return { identityToken: text('identitytoken') };
  const auth = text('auth').trim();
  if (auth !== '') {
    const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
    // Written for an empty user name and password: an anonymous pull.
    if (decoded === ':') return undefined;
    const colon = decoded.indexOf(':');
    if (colon <= 0) throw new DockerConfigError(`${where} has an "auth" that is not base64 of username:password`);
    return checked({ username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }, where);
  }
  if (text('username') === '') return undefined;
  return checked({ username: text('username'), password: text('password') }, where);
}

function checked(credentials: { readonly username: string; readonly password: string }, where: string): Credentials {
  if (/[\r\n]/.test(credentials.username)) throw new DockerConfigError(`${where} has a line break in its username`);
  // The docker command line's marker for an identity token from a credential helper.
  return credentials.username === '<token>' ? { identityToken: credentials.password } : credentials;
}

/** The key in a form that is safe for messages: it may be a URL with a user and a password. */
function shown(key: string): string {
  return oneLine(key.slice(key.lastIndexOf('@') + 1)).slice(0, 200);
}

function looksLikeDockercfg(json: Readonly<Record<string, unknown>>): boolean {
  return Object.values(json).some(
    (value) => isRecord(value) && ['auth', 'username'].some((name) => fieldOf(value, name) !== undefined),
  );
}
