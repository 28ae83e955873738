import type { Reference } from '../image/reference.js';
import { imagePaths } from './target.js';
import type { NamingTarget } from './target.js';

/**
 * Finds the target that already contains an image. aws: every repository of the account's registry in the region
 * counts, regardless of the prefix, since nodes that can pull the mirror can also pull it. gcp: host, project and
 * repository must be the target's. oci: host and prefix must be the target's; other images in the registry are ordinary
 * sources, and their mirrors are below the prefix. For a target with `paths`, these replace the prefix. Paths are
 * compared part by part: `mirror2/x` is not under `mirror`, and neither is `mirror` itself.
 */
export interface OriginIndex {
  /** The target; if several contain the image, the one with the longest path, or the first of equal ones. */
  find(image: Reference): NamingTarget | undefined;
}

interface HostTargets {
  readonly byPath: Map<string, NamingTarget>;
  /** Contains the whole registry. */
  whole?: NamingTarget;
}

/** Built once per configuration; the time of a lookup does not depend on the number of targets. */
export function buildOriginIndex(targets: readonly NamingTarget[]): OriginIndex {
  const hosts = new Map<string, HostTargets>();
  for (const target of targets) {
    for (const host of [target.host, ...target.aliases].map(withoutDefaultPort)) {
      const entry = hosts.get(host) ?? { byPath: new Map<string, NamingTarget>() };
      hosts.set(host, entry);
      for (const path of imagePaths(target)) if (!entry.byPath.has(path)) entry.byPath.set(path, target);
      if (target.wholeRegistry) entry.whole ??= target;
    }
  }
  return {
    find(image) {
      const entry = hosts.get(withoutDefaultPort(image.registry));
      return entry && (longestPrefix(entry.byPath, image.repository) ?? entry.whole);
    },
  };
}

/** {@link OriginIndex.find} for callers that ask once. */
export function findTarget(targets: readonly NamingTarget[], image: Reference): NamingTarget | undefined {
  return buildOriginIndex(targets).find(image);
}

/** Whether the registry is the target's, under any of its names. */
export function isTargetHost(target: NamingTarget, registry: string): boolean {
  const wanted = withoutDefaultPort(registry);
  return [target.host, ...target.aliases].some((host) => withoutDefaultPort(host) === wanted);
}

function longestPrefix(byPath: ReadonlyMap<string, NamingTarget>, repository: string): NamingTarget | undefined {
  for (let end = repository.lastIndexOf('/'); end > 0; end = repository.lastIndexOf('/', end - 1)) {
    const target = byPath.get(repository.slice(0, end));
    if (target !== undefined) return target;
  }
  return byPath.get('');
}

/** A host without a port means port 443. */
function withoutDefaultPort(host: string): string {
  return host.endsWith(':443') ? host.slice(0, -':443'.length) : host;
}
