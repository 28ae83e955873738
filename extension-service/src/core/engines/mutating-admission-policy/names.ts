import { DEFAULT_NAME } from '../../policies/options.js';

/**
 * The policies under `policies.manage`, each with a binding of its own name: the table, and what has come since it was
 * written.
 */
export function policyNames(policyName: string = DEFAULT_NAME): readonly [large: string, recent: string] {
  return [policyName, `${policyName}-recent`];
}
