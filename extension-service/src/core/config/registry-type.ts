import { quoteInput } from '../image/quote.js';

/** The type of a registry, as its keys show. */
export interface RegistryTyping {
  /** The type to read it as; undefined if unknown. */
  readonly type?: string;
  /** What is wrong with its key `type`. */
  readonly fault?: string;
  /** Keys that describe a registry of another type: they do not belong there. */
  readonly foreign: readonly string[];
}

/**
 * The type of a registry: as `type` says, or else the only one of the keys `types` that is there.
 *
 * @param written the key `type`; undefined when it is not there
 * @param has whether a key is there
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
  // One kind of registry is described, so what is in it can be checked all the same.
  const text = typeof written === 'string' ? quoteInput(written) : 'this';
  return { ...likely, fault: `${text} is not a registry type`, foreign: [] };
}

export function foreignMember(type: string): string {
  return `does not belong to a registry of type ${type}`;
}
