import type { Config } from '../../core/config/model.js';
import { excludedByEngines } from '../../core/engines/engines.js';

/**
 * Namespaces whose workloads the leader does not look after. Pods there are left alone by every rendered policy too, so
 * their images are never asked for in a target.
 *
 * @param own the service's own, where it is known
 */
export function namespacesNotWatched({ policies }: Config, own?: string): ReadonlySet<string> {
  const always = [...excludedByEngines(policies.engine), ...policies.excludedNamespaces];
  return new Set(own === undefined ? always : [...always, own]);
}
