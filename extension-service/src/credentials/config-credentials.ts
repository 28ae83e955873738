import type { Credentials, Keychain } from '../registry/types.js';
import { unusedHelper } from './credential-helpers.js';
import { parseDockerConfig } from './docker-config.js';
import { matchDockerConfig } from './keyring.js';
import { messageOf } from '../util/message-of.js';

/** Where credentials come from; at most one source is set. */
export interface CredentialsConfig {
  /** A Secret of type kubernetes.io/dockerconfigjson, in the service's own namespace unless `namespace` says otherwise. */
  readonly secretName?: string;
  readonly namespace?: string;
  readonly username?: string;
  readonly password?: string;
  /** A file whose trimmed content is the password. */
  readonly passwordFile?: string;
  /** A Docker `config.json`. */
  readonly dockerConfigFile?: string;
}

/** Sources of configured credentials; provided by a caller with a file system and a cluster. */
export interface CredentialSources {
  readonly readFile: (path: string) => Promise<string>;
  /** Content of a Secret's `.dockerconfigjson` (or `.dockercfg`); without a namespace, the service's own. */
  readonly readSecret: (name: string, namespace: string | undefined) => Promise<string>;
  readonly now: () => number;
}

/** Milliseconds that what was read is used without another look: rotated files and Secrets take effect within seconds. */
const MAX_AGE_MS = 3_000;
/** Milliseconds that it is still used when the look fails: an API server that restarts must not stop the mirror. */
const LAST_RESORT_MS = 60_000;

/**
 * The credentials that the configuration gives for one registry. What `passwordFile`, `dockerConfigFile` and `secretName`
 * name is read when it is first needed and again when it is needed 3 s later; a failure to read rejects, naming the key and
 * the file or Secret, unless it could be read within the last minute, and is not kept.
 */
export function configKeychain(host: string, config: CredentialsConfig, sources: CredentialSources): Keychain {
  const own = host.toLowerCase();
  const read = kept(sources.now, async () => load(config, sources));
  return {
    async resolve(asked, repository) {
      // Credentials go to the registry that they were given for, whatever other host asks.
      if (asked.toLowerCase() !== own) return [];
      const loaded = await read();
      return 'find' in loaded ? loaded.find(own, repository) : [loaded];
    },
    async notUsed(asked, repository) {
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
  const entries = parseDockerConfig(text, origin);
  return {
    find: (host, repository) => matchDockerConfig(entries, host, repository),
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

/** One read at a time, its result kept for a while. */
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
      if (last !== undefined && at - last.at < LAST_RESORT_MS) return last.value;
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
