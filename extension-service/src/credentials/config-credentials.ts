import type { Credentials, Keychain } from '../registry/types.js';
import { unusedHelper } from './credential-helpers.js';
import { parseDockerConfig, type DockerConfigError } from './docker-config.js';
import { matchDockerConfig } from './keyring.js';
import { messageOf } from '../util/message-of.js';

/** The configured source of credentials; at most one is set. */
export interface CredentialsConfig {
  /** A Secret of type kubernetes.io/dockerconfigjson; by default in the service's own namespace. */
  readonly secretName?: string;
  readonly namespace?: string;
  readonly username?: string;
  readonly password?: string;
  /** A file whose trimmed content is the password. */
  readonly passwordFile?: string;
  /** A Docker `config.json`. */
  readonly dockerConfigFile?: string;
}

/** Reads configured credentials; provided by a caller with access to files and a cluster. */
export interface CredentialSources {
  readonly readFile: (path: string) => Promise<string>;
  /** Content of a Secret's `.dockerconfigjson` (or `.dockercfg`); by default in the service's own namespace. */
  readonly readSecret: (name: string, namespace: string | undefined) => Promise<string>;
  readonly now: () => number;
}

/**
 * Content is reused for this many milliseconds without another read: rotated files and Secrets take effect within
 * seconds.
 */
const MAX_AGE_MS = 3_000;
/**
 * If a read fails, content is reused for this many milliseconds: a restart of the API server must not stop the mirror.
 */
const DEFAULT_RENEWAL_MS = 60_000;

/**
 * The configured credentials for one registry. `passwordFile`, `dockerConfigFile` and `secretName` are read when they
 * are first needed, and again after 3 s. A failed read rejects with the key and the file or Secret, unless a read
 * succeeded within the last minute. Failures are not cached.
 */
export function configKeychain(host: string, config: CredentialsConfig, sources: CredentialSources): Keychain {
  const own = host.toLowerCase();
  const read = kept(sources.now, async () => load(config, sources));
  return {
    async resolve(asked, repository) {
      // Credentials are only for the registry that they were configured for, whichever host requests them.
      if (asked.toLowerCase() !== own) return [];
      const loaded = await read();
      return 'find' in loaded ? loaded.find(own, repository) : [loaded];
    },
    async unusedReason(asked, repository) {
      if (asked.toLowerCase() !== own) return undefined;
      const loaded = await read();
      return 'find' in loaded ? loaded.notUsed(own, repository) : undefined;
    },
  };
}

interface LoadedDocument {
  find(host: string, repository: string): readonly Credentials[];
  notUsed(host: string, repository: string): string | undefined;
}

type Loaded = Credentials | LoadedDocument;

async function load(config: CredentialsConfig, sources: CredentialSources): Promise<Loaded> {
  const { username = '', password, passwordFile, dockerConfigFile, secretName, namespace } = config;
  if (secretName !== undefined) {
    const origin = `credentials.secretName: secret ${namespace === undefined ? '' : `${namespace}/`}${secretName}`;
    return fromDocument(await named(origin, sources.readSecret(secretName, namespace)), origin);
  }
  if (dockerConfigFile !== undefined) {
    const origin = `credentials.dockerConfigFile: ${dockerConfigFile}`;
    return fromDocument(await named(origin, sources.readFile(dockerConfigFile)), origin);
  }
  if (passwordFile !== undefined) {
    const text = await named(`credentials.passwordFile: ${passwordFile}`, sources.readFile(passwordFile));
    return { username, password: text.trim() };
  }
  if (password !== undefined) return { username, password };
  return { find: () => [], notUsed: () => undefined };
}

function fromDocument(text: string, origin: string): Loaded {
  const unusable: DockerConfigError[] = [];
  const entries = parseDockerConfig(text, origin, (problem) => unusable.push(problem));
  return {
    find: (host, repository) => {
      const found = matchDockerConfig(entries, host, repository);
      // An unusable entry of another registry does not matter; without any login it may be the one that is missing.
      if (found.length === 0 && unusable[0] !== undefined) throw unusable[0];
      return found;
    },
    notUsed: (host, repository) => unusedHelper(text, origin, host, repository),
  };
}

async function named<T>(origin: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    const reason = messageOf(error);
    throw new Error(`${origin} cannot be read: ${reason}`, { cause: error });
  }
}

/** Reads once at a time, and caches the result. */
function kept<T>(now: () => number, read: () => Promise<T>): () => Promise<T> {
  let current: { readonly value: Promise<T>; readonly until: number } | undefined;
  let last: { readonly value: T; readonly at: number } | undefined;
  const refresh = async (): Promise<T> => {
    const at = now();
    try {
      const value = await read();
      last = { value, at };
      return value;
    } catch (error) {
      if (last !== undefined && at - last.at < DEFAULT_RENEWAL_MS) return last.value;
      throw error;
    }
  };
  return () => {
    if (current !== undefined && current.until > now()) return current.value;
    const entry = { value: refresh(), until: now() + MAX_AGE_MS };
    current = entry;
    entry.value.catch(() => {
      if (current === entry) current = undefined;
    });
    return entry.value;
  };
}
