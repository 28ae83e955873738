import { rootCertificates } from 'node:tls';
import type { Config } from '../../core/config/model.js';
import { InvalidPolicyOptionError } from '../../core/policies/problem.js';
import { wantedPolicies } from './wanted-policies.js';

/**
 * Why the configuration's managed policies cannot be rendered, naming the key; undefined if they can, or there are
 * none.
 */
export function managedPoliciesProblem(config: Config): string | undefined {
  try {
    // The CA certificate and the namespace do not matter here.
    wantedPolicies(config, { namespace: 'default', caBundle: rootCertificates[0] });
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    const path = error.option.startsWith('filters') ? 'source.' : 'policies.';
    return `${path}${error.message}`;
  }
}
