import { DEFAULT_OPERATORS } from '../decide/operators.js';
import { sha256 } from '../naming/sha256.js';
import type { PodOptions } from './options.js';

/** Annotation of rendered policies: which configuration they fit. */
export const CONFIG_HASH_ANNOTATION = 'image-swapper.io/config-hash';
/** The header in which Kyverno's policies tell the service the same. */
export const CONFIG_HASH_HEADER = 'Image-Swapper-Config';

const USUAL_OPERATORS = JSON.stringify(DEFAULT_OPERATORS);

/** Changes when policies that were rendered for these filters and targets no longer fit; 12 hexadecimal digits. */
export function configHash(
  filters: readonly string[],
  targets: readonly string[],
  directTarget: 'keep' | 'refuse' = 'keep',
  { volumes = true, operators = DEFAULT_OPERATORS, pullSecret, annotate = false }: PodOptions = {},
): string {
  // Usual values change no hash of policies that exist.
  const conditions = {
    ...{ filters, targets },
    ...(directTarget === 'refuse' && { directTarget }),
    ...(!volumes && { volumes }),
    ...(JSON.stringify(operators) !== USUAL_OPERATORS && { operators }),
    ...(pullSecret !== undefined && { pullSecret }),
    ...(annotate && { annotate }),
  };
  const text = JSON.stringify(conditions).replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return sha256(text).slice(0, 12);
}

/**
 * The last part of the address that Gatekeeper's policies call when they decide filters themselves: the service then
 * leaves those filters to them, but only while its own are the same.
 */
export function gatekeeperProfile(filters: readonly string[]): string {
  return `filters-${configHash(filters, [])}`;
}

export function hashAnnotation(hash: string | undefined): Readonly<Record<string, string>> {
  return hash === undefined ? {} : { [CONFIG_HASH_ANNOTATION]: hash };
}
