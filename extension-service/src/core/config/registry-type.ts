import { quoteInput } from '../image/quote.js';

/** The type of a registry, inferred from its keys. */
export interface RegistryTyping {
  /** The effective type; undefined if unknown. */
  readonly type?: string;
  /** The problem with its key `type`. */
  readonly fault?: string;
  /** Keys that belong to another type of registry. */
  readonly foreign: readonly string[];
}

/**
 * The type of a registry: the value of `type`, or the only one of the keys `types` that is set.
 *
 * @param written the key `type`; undefined if absent
 * @param has whether a key is set
 */
export function typeOfRegistry(
  written: unknown,
  has: (key: string) => boolean,
  types: readonly string[],
): RegistryTyping {
  const given = types.filter(has);
  const only = given.length === 1 ? given[0] : undefined;
  const likely = only === undefined ? {} : { type: only };
  if (written === undefined) {
    if (only !== undefined) return { type: only, foreign: [] };
    return {
      fault: given.length === 0 ? 'required' : `required, because ${given.join(' and ')} are set`,
      foreign: [],
    };
  }
  const type = types.find((known) => known === written);
  if (type !== undefined) return { type, foreign: given.filter((key) => key !== type) };
  // Exactly one kind of registry is described, so its keys can be checked anyway.
  const text = typeof written === 'string' ? quoteInput(written) : 'this';
  return { ...likely, fault: `${text} is not a registry type`, foreign: [] };
}

export function foreignMember(type: string): string {
  return `does not belong to a registry of type ${type}`;
}
