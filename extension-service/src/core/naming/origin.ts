import type { Reference } from '../image/reference.js';
import type { NamingTarget } from './target.js';

/**
 * Finds the target that an image is in already. aws: every repository of the account's registry in the region counts,
 * whatever the prefix, since nodes that can pull the mirror can pull it too. gcp: host, project and repository must be
 * the target's. oci: host and prefix must be; what else the registry holds is a source like any other, and its mirror
 * is below the prefix. Paths are compared part by part: `mirror2/x` isn't under `mirror`.
 */
export interface OriginIndex {
  find(image: Reference): NamingTarget | undefined;
}

/** Made once per configuration; one look-up per image then, however many targets there are. */
export function buildOriginIndex(targets: readonly NamingTarget[]): OriginIndex {
  const byHost = new Map<string, NamingTarget[]>();
  for (const target of targets) {
    for (const host of new Set([target.host, ...target.aliases].map(withoutDefaultPort))) {
      const same = byHost.get(host);
      if (same === undefined) byHost.set(host, [target]);
      else same.push(target);
    }
  }
  return { find: (image) => nearest(byHost.get(withoutDefaultPort(image.registry)) ?? [], image.repository) };
}

/** The target that has the image already, if any; the one with the longest path where several do. */
export function findTarget(targets: readonly NamingTarget[] | OriginIndex, image: Reference): NamingTarget | undefined {
  if ('find' in targets && !Array.isArray(targets)) return (targets as OriginIndex).find(image);
  const list = targets as readonly NamingTarget[];
  return nearest(
    list.filter((target) => isTargetHost(target, image.registry)),
    image.repository,
  );
}

/** Whether the registry is the target's, under any of its names. */
export function isTargetHost(target: NamingTarget, registry: string): boolean {
  const wanted = withoutDefaultPort(registry);
  return withoutDefaultPort(target.host) === wanted || target.aliases.some((alias) => withoutDefaultPort(alias) === wanted);
}

function nearest(targets: readonly NamingTarget[], repository: string): NamingTarget | undefined {
  let best: NamingTarget | undefined;
  let bestLength = -1;
  for (const target of targets) {
    const length = target.path === '' ? 0 : repository.startsWith(`${target.path}/`) ? target.path.length : -1;
    if (length > bestLength) {
      best = target;
      bestLength = length;
    }
  }
  return best ?? targets.find((target) => target.wholeRegistry);
}

/** Port 443 is what a host without a port means. */
function withoutDefaultPort(host: string): string {
  return host.endsWith(':443') ? host.slice(0, -':443'.length) : host;
}
