import type { Config } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import { placeOf } from '../kinds/registry-naming.js';
import type { CopyLimits } from './slots.js';

/**
 * Unless the configuration says otherwise, a registry leaves one place to the others, so that one that hangs never holds
 * up all copies. A target that is the only one has them all.
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
