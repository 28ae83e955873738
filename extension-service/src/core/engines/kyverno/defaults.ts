import type { PolicyDefaults, PolicyOptions } from '../../policies/options.js';
import { DEFAULT_TIMEOUT_SECONDS } from '../waiting.js';

/** For both of Kyverno's kinds of policies. */
export const KYVERNO_DEFAULTS: PolicyDefaults = {
  timeoutSeconds: DEFAULT_TIMEOUT_SECONDS,
  namespaces: ['kyverno'],
  // Kyverno rejects a policy whose name is too long for a label.
  maxNameLength: 63,
};

/**
 * The caller's labels, and one that keeps the policy out of Kyverno's reports. By default Kyverno stores an
 * EphemeralReport for each Pod that a policy has mutated, of which it makes a PolicyReport: with a policy for every
 * Pod, that is two objects in etcd for each Pod.
 */
export function labelsForKyverno({ labels }: PolicyOptions): Readonly<Record<string, string>> {
  return { 'reports.kyverno.io/disabled': 'true', ...labels };
}

export const INSTALL_KYVERNO =
  '(helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace)';
