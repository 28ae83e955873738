import type { PolicyDefaults } from '../../policies/options.js';

/** Of both of Kyverno's kinds of policies. */
export const KYVERNO_DEFAULTS: PolicyDefaults = {
  timeoutSeconds: 10,
  namespaces: ['kyverno'],
  // Kyverno refuses a policy whose name does not fit into a label.
  maxNameLength: 63,
};

export const INSTALL_KYVERNO =
  '(helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace)';
