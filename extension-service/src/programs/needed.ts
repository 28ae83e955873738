import type { Config } from '../core/config/model.js';
import type { Programs } from './programs.js';

/** The programs that a configuration can need. */
export function neededPrograms({ target, targets, source }: Config, programs: Programs): Programs {
  const types = new Set(
    [...targets, ...(target === undefined ? [] : [target]), ...source.registries].map(({ type }) => type),
  );
  const { kubernetes, aws, gcp } = programs;
  return {
    ...(kubernetes !== undefined && { kubernetes }),
    ...(aws !== undefined && types.has('aws') && { aws }),
    ...(gcp !== undefined && types.has('gcp') && { gcp }),
  };
}
