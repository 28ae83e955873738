import { configHash } from '../../policies/config-hash.js';
import type { PodOptions } from '../../policies/options.js';

/** As the other engines' hash; a table of all images is never read as one of public images. */
export function tableHash(
  filters: readonly string[],
  targets: readonly string[],
  pods: PodOptions | undefined,
  publicOnly: boolean,
): string {
  return configHash(filters, publicOnly ? [...targets, 'public images only'] : targets, 'keep', pods);
}
