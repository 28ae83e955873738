import { credentialHelpersOf, helperNotRun, type CredentialHelper } from './credential-helpers.js';
import { parseDockerConfig } from './docker-config.js';
import type { DockerConfigEntry } from './docker-config.js';
import { matchDockerConfig } from './keyring.js';
import { messageOf } from '../util/message-of.js';

/**
 * A Docker config that is parsed on first use; only its entries are kept. An unreadable config or entry must not
 * affect the others: it is reported once, without its content.
 */
export class DockerConfigSource {
  #text: (() => string) | undefined;
  #entries: readonly DockerConfigEntry[] = [];
  #helpers: readonly CredentialHelper[] = [];

  /** `origin` is for messages: `Secret team-a/pull`, a file name. `text` is the document. */
  constructor(
    private readonly origin: string,
    text: () => string,
    private readonly report: (problem: string) => void,
  ) {
    this.#text = text;
  }

  /** Why there is no login for a repository; undefined unless a credential helper has it. */
  notUsed(host: string, repository: string): string | undefined {
    const { entries } = this;
    if (this.#helpers.length === 0 || matchDockerConfig(entries, host, repository).length > 0) return undefined;
    const [helper] = matchDockerConfig(this.#helpers, host, repository);
    return helper === undefined ? undefined : helperNotRun(helper, this.origin, host);
  }

  get entries(): readonly DockerConfigEntry[] {
    const text = this.#text;
    if (text === undefined) return this.#entries;
    this.#text = undefined;
    try {
      const document = text();
      this.#entries = parseDockerConfig(document, this.origin, ({ message }) => this.report(message));
      this.#helpers = credentialHelpersOf(document);
    } catch (error) {
      this.report(messageOf(error));
    }
    return this.#entries;
  }
}
