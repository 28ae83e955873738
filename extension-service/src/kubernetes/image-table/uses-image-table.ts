import type { Config } from '../../core/config/model.js';
import { engineOf } from '../../core/engines/engines.js';

/** Whether the policies of this configuration contain a table of images that the service maintains. */
export function usesImageTable({ policies }: Pick<Config, 'policies'>): boolean {
  return policies.manage && engineOf(policies)?.chart.managedOnly !== undefined;
}
