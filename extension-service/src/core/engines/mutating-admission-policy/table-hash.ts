import { configHash } from '../../policies/config-hash.js';
import { imagePrefixes } from '../../naming/target.js';
import type { PodOptions } from '../../policies/options.js';
import type { DecidedTarget } from '../engine.js';

const PUBLIC_ONLY = 'public images only';

/**
 * Like the other engines' hash. It also depends on `publicOnly`, so that a table of all images is never read as a table
 * of public images.
 */
export function tableHash(
  filters: readonly string[],
  targets: readonly string[],
  pods: PodOptions | undefined,
  publicOnly: boolean,
): string {
  return configHash(filters, publicOnly ? [...targets, PUBLIC_ONLY] : targets, 'keep', pods);
}

/** Annotation of policies with a table: {@link entriesHash}. */
export const TABLE_HASH_ANNOTATION = 'image-swapper.io/table-hash';

/**
 * Changes when the entries of a table are no longer valid: with the names in the targets, or with `publicOnly`. Unlike
 * {@link tableHash}, it does not change with filters, which the policy applies to the entries of any table.
 */
export function entriesHash(targets: readonly Pick<DecidedTarget, 'naming'>[], publicOnly: boolean): string {
  const names = targets.map(({ naming }) => JSON.stringify([naming.name, ...imagePrefixes(naming)]));
  return configHash([], publicOnly ? [...names, PUBLIC_ONLY] : names);
}
