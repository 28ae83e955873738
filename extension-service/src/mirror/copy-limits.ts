import type { Config } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import { placeOf } from '../kinds/registry-naming.js';
import type { CopyLimits } from './slots.js';

/**
 * By default, a registry leaves one slot to the others, so that one that hangs never blocks all copies. A single target
 * has all slots.
 */
export function copyLimits(config: Pick<Config, 'mirror' | 'targets' | 'target'>): CopyLimits {
  const { concurrency, perSource, perTarget } = config.mirror;
  const leaveOne = Math.max(1, concurrency - 1);
  const hosts = new Set(targetsOf(config).map((target) => placeOf(target).host));
  return {
    concurrency,
    perSource: perSource ?? leaveOne,
    perTarget: perTarget ?? (hosts.size > 1 ? leaveOne : concurrency),
    strict: { perSource: perSource !== undefined, perTarget: perTarget !== undefined },
  };
}
