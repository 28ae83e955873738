import { DEFAULT_OPERATORS } from '../decide/operators.js';
import { sha256 } from '../naming/sha256.js';
import type { PodOptions } from './options.js';

/** Annotation of rendered policies: the configuration that they belong to. */
export const CONFIG_HASH_ANNOTATION = 'image-swapper.io/config-hash';
/** The header in which Kyverno's policies send the same to the service. */
export const CONFIG_HASH_HEADER = 'Image-Swapper-Config';

const DEFAULT_OPERATORS_TEXT = JSON.stringify(DEFAULT_OPERATORS);

/**
 * Changes when policies that were rendered for these filters and targets are outdated; 12 hexadecimal digits.
 *
 * It covers the keys that decide which Pods get which images. It does not cover how a policy is called and calls: its
 * name, address, credentials, CA certificate, timeout, failure policy and excluded namespaces, which flags and props
 * also set.
 *
 * @param decided other keys, for an engine that decides Pods itself; without those that have their default
 */
export function configHash(
  filters: readonly string[],
  targets: readonly string[],
  directTarget: 'keep' | 'refuse' = 'keep',
  { volumes = true, operators = DEFAULT_OPERATORS, pullSecret, annotate = false }: PodOptions = {},
  decided: Readonly<Record<string, unknown>> = {},
): string {
  // Default values do not change the hash of existing policies.
  const conditions = {
    ...{ filters, targets },
    ...(directTarget === 'refuse' && { directTarget }),
    ...(!volumes && { volumes }),
    ...(JSON.stringify(operators) !== DEFAULT_OPERATORS_TEXT && { operators }),
    ...(pullSecret !== undefined && { pullSecret }),
    ...(annotate && { annotate }),
    ...decided,
  };
  const text = JSON.stringify(conditions).replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return sha256(text).slice(0, 12);
}

/** The keys that the hash of every engine's policies may cover. */
export interface ServedConfig {
  readonly filters: readonly string[];
  /** Prefixes of image references. */
  readonly targets: readonly string[];
  readonly directTarget?: 'keep' | 'refuse' | undefined;
  readonly pods?: PodOptions | undefined;
}

/** The hash of policies that leave every decision to the service. */
export function servedHash({ filters, targets, directTarget, pods }: ServedConfig): string {
  return configHash(filters, targets, directTarget, pods);
}

/** The hash in a policy: that of an engine that decides some Pods itself, if given; none without a configuration. */
export function hashIn({
  filters,
  hash,
  ...served
}: Omit<ServedConfig, 'filters'> & { readonly filters?: readonly string[]; readonly hash?: string }):
  string | undefined {
  return filters === undefined ? undefined : (hash ?? servedHash({ ...served, filters }));
}

/**
 * The last part of the address that Gatekeeper's policies call if they decide filters themselves: the service then does
 * not evaluate those filters, as long as its own are the same.
 */
export function gatekeeperProfile(filters: readonly string[]): string {
  return `filters-${configHash(filters, [])}`;
}

export function hashAnnotation(hash: string | undefined): Readonly<Record<string, string>> {
  return hash === undefined ? {} : { [CONFIG_HASH_ANNOTATION]: hash };
}
