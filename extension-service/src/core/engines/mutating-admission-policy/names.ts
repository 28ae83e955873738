import { DEFAULT_NAME } from '../../policies/options.js';

/**
 * The policies with `policies.manage`, each with a binding of the same name: the table, and the images added since it
 * was written.
 */
export function policyNames(policyName: string = DEFAULT_NAME): readonly [large: string, recent: string] {
  return [policyName, `${policyName}-recent`];
}
