import type { Credentials, Keychain } from '../registry/types.js';
import { matchDockerConfig, parseDockerConfig, type DockerConfigEntry } from './docker-config.js';

/** Only what anybody may read. */
export const anonymousKeychain: Keychain = { resolve: async () => [] };

/** A Docker config from somewhere: a file, or a Secret that a Pod or its ServiceAccount names. */
export interface DockerConfigDocument {
  /** For messages: `secret team-a/pull`, a file name. */
  readonly origin: string;
  /** Content of `.dockerconfigjson`, `.dockercfg` or `config.json`. */
  readonly text: string;
}

/**
 * The credentials of several documents; earlier documents are tried first. A document that cannot be read must not spoil
 * the others (the kubelet skips it too): it is reported, without its content, and left out.
 */
export function documentKeychain(
  documents: readonly DockerConfigDocument[],
  report: (problem: string) => void,
): Keychain {
  let parsed: readonly (readonly DockerConfigEntry[])[] | undefined;
  const parse = (): readonly (readonly DockerConfigEntry[])[] =>
    documents.map(({ origin, text }) => {
      try {
        return parseDockerConfig(text, origin);
      } catch (error) {
        report(error instanceof Error ? error.message : String(error));
        return [];
      }
    });
  return {
    resolve: async (host, repository) =>
      unique((parsed ??= parse()).flatMap((entries) => matchDockerConfig(entries, host, repository))),
  };
}

/** Credentials for one registry, whatever the repository. `host` is host[:port] as references name it. */
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
    // Each is told: it knows its own.
    rejected: (credentials) => keychains.map((keychain) => keychain.rejected?.(credentials) === true).includes(true),
  };
}

function unique(all: readonly Credentials[]): Credentials[] {
  return [...new Map(all.map((credentials) => [JSON.stringify(credentials), credentials])).values()];
}
