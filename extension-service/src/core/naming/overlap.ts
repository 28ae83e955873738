import { hostInPath, isWithin } from './paths.js';
import { isTargetHost } from './origin.js';
import type { NamingTarget } from './target.js';

/** Two targets of one registry that could give the same name to different sources. */
export interface TargetOverlap {
  readonly outer: NamingTarget;
  readonly inner: NamingTarget;
  /** One sentence for users. */
  readonly message: string;
}

/**
 * Pairs of targets in one registry that could give the same name to two sources, so that anyone who may push to one
 * source could replace the other.
 *
 * - One path extends the other with a part that could be a source's host. If one target has the path `docker.io` and
 * the other none, Docker Hub's `quay.io/team/app` in the outer and quay.io's `team/app` in the inner would share a
 * name. Other nested paths are fine: the first part of a source's path always has a dot or an underscore, or is
 * `localhost`.
 * - An entry of `paths` is inside another target's entry, or vice versa. The same applies to the path of a target that
 * names images by their hosts.
 */
export function overlappingTargets(targets: readonly NamingTarget[]): readonly TargetOverlap[] {
  const overlaps: TargetOverlap[] = [];
  targets.forEach((outer, index) => {
    targets.forEach((inner, other) => {
      if (outer === inner || !(isTargetHost(outer, inner.host) || isTargetHost(inner, outer.host))) return;
      // For two targets with paths, one check is enough.
      if (outer.paths !== undefined && inner.paths !== undefined && index > other) return;
      const message = overlap(outer, inner);
      if (message !== undefined) overlaps.push({ outer, inner, message });
    });
  });
  return overlaps;
}

function overlap(outer: NamingTarget, inner: NamingTarget): string | undefined {
  if (outer.paths !== undefined) return inner.paths === undefined ? undefined : samePaths(outer, inner);
  return inner.paths === undefined ? nestedPath(outer, inner) : pathsInside(outer, inner.paths, inner.name);
}

function nestedPath(outer: NamingTarget, inner: NamingTarget): string | undefined {
  const start = outer.path === '' ? '' : `${outer.path}/`;
  if (inner.path === outer.path || !inner.path.startsWith(start)) return undefined;
  const next = inner.path.slice(start.length).split('/', 1)[0] ?? '';
  if (!(/[._]/.test(next) || next === 'localhost')) return undefined;
  return (
    `target ${inner.name} is inside target ${outer.name}, and ${next} below ${placeOf(outer)} also holds images from ` +
    `${next}: choose a path without dots and underscores`
  );
}

function samePaths(one: NamingTarget, other: NamingTarget): string | undefined {
  for (const [registry, path] of other.paths ?? []) {
    for (const [taken, known] of one.paths ?? []) {
      if (!isWithin(known, path) && !isWithin(path, known)) continue;
      return (
        `the path of ${registry}, ${other.host}/${path}, and that of ${taken} in target ${one.name}, ` +
        `${one.host}/${known}, overlap: use a separate path for each`
      );
    }
  }
  return undefined;
}

function pathsInside(outer: NamingTarget, paths: ReadonlyMap<string, string>, name: string): string | undefined {
  for (const [registry, path] of paths) {
    if (isWithin(path, outer.path) && outer.path !== '') {
      return `target ${outer.name}, at ${placeOf(outer)}, is inside the path of ${registry} in target ${name}: choose another path`;
    }
    if (!isWithin(outer.path, path)) continue;
    const below = outer.path === '' ? path : path.slice(outer.path.length + 1);
    const host = hostInPath(below, registry, outer.separators);
    if (host === undefined) continue;
    return `the path of ${registry}, ${outer.host}/${path}, also holds images of target ${outer.name} from ${host}: choose another path`;
  }
  return undefined;
}

function placeOf({ host, path }: NamingTarget): string {
  return path === '' ? host : `${host}/${path}`;
}
