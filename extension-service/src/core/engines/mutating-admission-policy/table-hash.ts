import { configHash } from '../../policies/config-hash.js';
import type { PodOptions } from '../../policies/options.js';

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
  return configHash(filters, publicOnly ? [...targets, 'public images only'] : targets, 'keep', pods);
}
