import type { PolicyDefaults } from '../../policies/options.js';
import { DEFAULT_TIMEOUT_SECONDS } from '../waiting.js';

/** For both of Kyverno's kinds of policies. */
export const KYVERNO_DEFAULTS: PolicyDefaults = {
  timeoutSeconds: DEFAULT_TIMEOUT_SECONDS,
  namespaces: ['kyverno'],
  // Kyverno rejects a policy whose name is too long for a label.
  maxNameLength: 63,
};

export const INSTALL_KYVERNO =
  '(helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace)';
