import type { Config } from '../../core/config/model.js';
import { engineOf } from '../../core/engines/engines.js';

/** Whether the policies of this configuration use a table of images that the service maintains. */
export function usesImageTable({ policies }: Pick<Config, 'policies'>): boolean {
  return policies.manage && engineOf(policies)?.table !== undefined;
}

/** Whether the table consists of objects that the engine reads; otherwise the policies contain it as literals. */
export function usesTableObjects({ policies }: Pick<Config, 'policies'>): boolean {
  return engineOf(policies)?.table === 'objects';
}
