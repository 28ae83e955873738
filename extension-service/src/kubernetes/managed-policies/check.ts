import { rootCertificates } from 'node:tls';
import type { Config } from '../../core/config/model.js';
import { engineOf } from '../../core/engines/engines.js';
import { InvalidPolicyOptionError } from '../../core/policies/problem.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import { wantedPolicies } from './wanted-policies.js';

/**
 * Why the configuration's managed policies cannot be rendered, naming the key; undefined if they can, or there are
 * none.
 */
export function managedPoliciesProblem(config: Config): string | undefined {
  try {
    rendered(config);
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    const path = error.option.startsWith('filters') ? 'source.' : 'policies.';
    return `${path}${error.message}`;
  }
}

/**
 * The policies that must be in the cluster, without their real CA certificate and namespace; none for an engine whose
 * objects users apply in a form of their choice.
 */
export function policiesToCheck(config: Config): readonly PolicyObject[] {
  const { policies } = config;
  if (!policies.manage && engineOf(policies)?.decides.alone !== true) return [];
  try {
    return rendered({ ...config, policies: { ...policies, manage: true } });
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) return [];
    throw error;
  }
}

function rendered(config: Config): readonly PolicyObject[] {
  return wantedPolicies(config, { namespace: 'default', caBundle: rootCertificates[0] });
}
