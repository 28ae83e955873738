import type { Config } from '../../core/config/model.js';
import { excludedByEngines } from '../../core/engines/engines.js';

/**
 * Namespaces whose workloads the leader ignores. Every rendered policy also excludes their Pods, so these never need
 * images in a target.
 *
 * @param own the service's own namespace, if known
 */
export function namespacesNotWatched({ policies }: Config, own?: string): ReadonlySet<string> {
  const always = [...excludedByEngines(policies.engine), ...policies.excludedNamespaces];
  return new Set(own === undefined ? always : [...always, own]);
}
