import { configHash } from '../../policies/config-hash.js';
import { decidedKeys } from '../decided-hash.js';
import { imagePrefixes } from '../../naming/target.js';
import type { DecidedTarget, HashedConfig } from '../engine.js';

const PUBLIC_ONLY = 'public images only';

/**
 * Like the other engines' hash, with the keys by which the API server decides. It also depends on `publicOnly`, so that a
 * table of all images is never read as a table of public images.
 */
export function tableHash({ filters, targets, pods, decided }: HashedConfig): string {
  const prefixes = decided.publicOnly ? [...targets, PUBLIC_ONLY] : targets;
  return configHash(filters, prefixes, 'keep', withoutAdditions(pods), decidedKeys(decided, { swapPolicy: true }));
}

/** Only images are changed. */
function withoutAdditions({ volumes, operators }: HashedConfig['pods'] = {}): HashedConfig['pods'] {
  return { ...(volumes !== undefined && { volumes }), ...(operators !== undefined && { operators }) };
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
