import { parseDockerConfig } from './docker-config.js';
import type { DockerConfigEntry } from './docker-config.js';
import { messageOf } from '../util/message-of.js';

/**
 * A Docker config that is parsed when it is first asked for, and then kept as its entries alone. One that cannot be read
 * must not spoil the others: it is reported once, without its content, and has no entries.
 */
export class DockerConfigSource {
  #text: (() => string) | undefined;
  #entries: readonly DockerConfigEntry[] = [];

  /** `origin` is for messages: `Secret team-a/pull`, a file name. `text` is the document. */
  constructor(
    private readonly origin: string,
    text: () => string,
    private readonly report: (problem: string) => void,
  ) {
    this.#text = text;
  }

  get entries(): readonly DockerConfigEntry[] {
    const text = this.#text;
    if (text === undefined) return this.#entries;
    this.#text = undefined;
    try {
      this.#entries = parseDockerConfig(text(), this.origin);
    } catch (error) {
      this.report(messageOf(error));
    }
    return this.#entries;
  }
}
