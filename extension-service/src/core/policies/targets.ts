import type { Config } from '../config/model.js';
import { namingTarget } from '../naming/target.js';

/** The image prefixes of every configured target, in order, for the policies' `targets` option. */
export function policyTargets(config: Config): string[] {
  const targets = [...config.targets, ...(config.target === undefined ? [] : [config.target])].map(namingTarget);
  return [...new Set(targets.map(({ host, path }) => `${host}/${path === '' ? '' : `${path}/`}`))];
}
