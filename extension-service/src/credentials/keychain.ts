import type { Credentials, Keychain } from '../registry/types.js';
import type { DockerConfigSource } from './docker-config-source.js';
import { matchDockerConfig } from './keyring.js';

/** Anonymous access only. */
export const anonymousKeychain: Keychain = { resolve: async () => [] };

/**
 * The credentials of several Docker configs as one keyring: the most specific key is tried first, whichever config
 * contains it; for equal keys, the earlier config wins.
 */
export function keyring(configs: readonly DockerConfigSource[]): Keychain {
  return {
    resolve: async (host, repository) => {
      const entries = configs.flatMap((config) => config.entries);
      return unique(matchDockerConfig(entries, host, repository));
    },
    unusedReason: async (host, repository) =>
      configs.map((config) => config.notUsed(host, repository)).find((reason) => reason !== undefined),
  };
}

/** Credentials for one registry, for all repositories. `host` is host[:port] in the form of references. */
export function hostKeychain(host: string, load: () => Promise<readonly Credentials[]>): Keychain {
  const own = host.toLowerCase();
  return { resolve: async (asked) => (asked.toLowerCase() === own ? load() : []) };
}

/** Tries the keychains in order; equal credentials are listed once. */
export function chainKeychains(keychains: readonly Keychain[]): Keychain {
  return {
    async resolve(host, repository) {
      const found = await Promise.all(keychains.map((keychain) => keychain.resolve(host, repository)));
      return unique(found.flat());
    },
    async unusedReason(host, repository) {
      const reasons = await Promise.all(keychains.map(async (keychain) => keychain.unusedReason?.(host, repository)));
      return reasons.find((reason) => reason !== undefined);
    },
    // Each keychain reports its own.
    rejected: (credentials) => keychains.map((keychain) => keychain.rejected?.(credentials) === true).includes(true),
  };
}

/** The same keychain, without credentials for some hosts. `hosts` are in lower case. */
export function excludeHosts(hosts: ReadonlySet<string>, keychain: Keychain): Keychain {
  return {
    ...keychain,
    resolve: async (host, repository) => (hosts.has(host.toLowerCase()) ? [] : keychain.resolve(host, repository)),
  };
}

function unique(all: readonly Credentials[]): Credentials[] {
  return [...new Map(all.map((credentials) => [JSON.stringify(credentials), credentials])).values()];
}
