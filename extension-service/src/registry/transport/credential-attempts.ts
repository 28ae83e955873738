import type { Credentials } from '../types.js';
import { BoundedMap } from '../../util/bounded-map.js';

/** A credential, or none, with its position in its list. */
interface Choice {
  readonly index: number;
  readonly credentials: Credentials | undefined;
}

const MAX_REMEMBERED = 10_000;

/** Remembers which credential a registry has accepted for a repository and action. */
export class AcceptedCredentials {
  readonly #accepted = new BoundedMap<string, number>(MAX_REMEMBERED);

  /** Whether one has been accepted. */
  has(key: string): boolean {
    return this.#accepted.has(key);
  }

  /** The accepted one first, then the others in order, then none. */
  tries(key: string, listed: readonly Credentials[]): CredentialAttempts {
    const all = [...listed, undefined].map((credentials, index) => ({ index, credentials }));
    const index = this.#accepted.get(key);
    const first = index === undefined ? undefined : all[index];
    return new CredentialAttempts(first === undefined ? all : [first, ...all.filter((choice) => choice !== first)]);
  }

  accept(key: string, tries: CredentialAttempts): void {
    this.#accepted.set(key, tries.index);
  }
}

/** The credentials of one request, each used until it is rejected. */
export class CredentialAttempts {
  #position = 0;
  /** The first that got a 404 while another may see the image. */
  #absent: number | undefined;
  #ended = false;

  constructor(private readonly choices: readonly Choice[]) {}

  /** Undefined stands for none, which comes last. */
  get credentials(): Credentials | undefined {
    return this.choices[this.#position]?.credentials;
  }

  get index(): number {
    return this.choices[this.#position]?.index ?? 0;
  }

  /** Whether there was ever anything but none. */
  get any(): boolean {
    return this.choices.length > 1;
  }

  /**
   * After a rejection. At the end, if one of them got a 404, that one is tried once more: its answer counts.
   *
   * @returns whether there is another one
   */
  next(): boolean {
    if (this.#ended) return false;
    if (this.#position + 1 < this.choices.length) {
      this.#position += 1;
      return true;
    }
    this.#ended = true;
    if (this.#absent === undefined) return false;
    this.#position = this.#absent;
    return true;
  }

  /** After a 404. Without credentials nothing is visible that is hidden from all of them. @returns as `next` */
  nextWithCredentials(): boolean {
    if (this.#ended || this.choices[this.#position + 1]?.credentials === undefined) return false;
    this.#absent ??= this.#position;
    return this.next();
  }

  /** Replaces another login of the same account. */
  at(before: CredentialAttempts | undefined): this {
    if (before === undefined) return this;
    this.#position = Math.min(before.#position, this.choices.length - 1);
    [this.#absent, this.#ended] = [before.#absent, before.#ended];
    return this;
  }
}
