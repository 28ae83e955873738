import { quoteInput } from '../core/image/quote.js';
import { fieldOf, parseDockerConfig } from './docker-config.js';
import { matchDockerConfig, type KeyedEntry } from './keyring.js';
import { parseBoundedJson } from '../core/json-bounds.js';
import { isRecord } from '../util/is-record.js';

/** A program that stores the login to a registry, with the key that names the registry: `ecr-login`, `desktop`. */
export type CredentialHelper = KeyedEntry<string>;

/**
 * The helpers of a Docker config: `credHelpers` for each registry, `credsStore` for those without a password after
 * `docker login`. A text that is not a Docker config has none.
 */
export function credentialHelpersOf(text: string): readonly CredentialHelper[] {
  let json: unknown;
  try {
    json = parseBoundedJson(text.replace(/^\uFEFF/, ''));
  } catch {
    return [];
  }
  const config = mapping(json);
  const [credHelpers, credsStore, auths] = ['credHelpers', 'credsStore', 'auths'].map((key) => fieldOf(config, key));
  const named = Object.entries(mapping(credHelpers)).flatMap(([key, helper]) =>
    typeof helper === 'string' && helper !== '' ? [{ key, credentials: helper }] : [],
  );
  if (typeof credsStore !== 'string' || credsStore === '') return named;
  return [...named, ...Object.keys(mapping(auths)).map((key) => ({ key, credentials: credsStore }))];
}

/**
 * One line that names the credential helper that has the login for a repository and is not run; undefined if the
 * document itself has a login, or no helper matches.
 *
 * @param origin the document's name in messages, such as `credentials.dockerConfigFile: /root/.docker/config.json`
 */
export function unusedHelper(text: string, origin: string, host: string, repository: string): string | undefined {
  const [helper] = matchDockerConfig(credentialHelpersOf(text), host, repository);
  if (helper === undefined || hasLogin(text, origin, host, repository)) return undefined;
  return helperNotRun(helper, origin, host);
}

export function helperNotRun(helper: string, origin: string, host: string): string {
  return `${origin} uses the credential helper ${quoteInput(helper)} for ${host}, but image-swapper does not run credential helpers`;
}

/** Advice for a login that a helper stores. */
export const INSTEAD_OF_HELPER =
  'use type: aws or gcp for their registries; for others set username and passwordFile, secretName, or a file with "auth"';

function hasLogin(text: string, origin: string, host: string, repository: string): boolean {
  try {
    const entries = parseDockerConfig(text, origin, () => undefined);
    return matchDockerConfig(entries, host, repository).length > 0;
  } catch {
    return false;
  }
}

function mapping(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}
