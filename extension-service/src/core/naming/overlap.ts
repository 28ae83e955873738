import { isTargetHost } from './origin.js';
import type { NamingTarget } from './target.js';

/** Two targets of one registry that could give the same name to different sources. */
export interface TargetOverlap {
  readonly outer: NamingTarget;
  readonly inner: NamingTarget;
  /** One sentence for people. */
  readonly message: string;
}

/**
 * Pairs of targets where one's path continues the other's with what could be a source's host. With `docker.io` as the
 * path of one and none as the other's, Docker Hub's `quay.io/team/app` in the outer and quay.io's `team/app` in the
 * inner would share a name, so anyone who may push to the first could replace the second. Other nested paths are fine:
 * the first part of a source's path always has a dot or an underscore, or is `localhost`.
 */
export function overlappingTargets(targets: readonly NamingTarget[]): readonly TargetOverlap[] {
  const overlaps: TargetOverlap[] = [];
  for (const outer of targets) {
    for (const inner of targets) {
      const next = nextPart(outer, inner);
      if (next === undefined || !(/[._]/.test(next) || next === 'localhost')) continue;
      const place = outer.path === '' ? outer.host : `${outer.host}/${outer.path}`;
      const message =
        `target ${inner.name} is inside target ${outer.name}, and ${next} below ${place} is also where images from ` +
        `${next} go: choose a path without dots and underscores`;
      overlaps.push({ outer, inner, message });
    }
  }
  return overlaps;
}

/** The first part of the inner target's path below the outer one's; `undefined` when it is not inside. */
function nextPart(outer: NamingTarget, inner: NamingTarget): string | undefined {
  if (!isTargetHost(outer, inner.host) && !isTargetHost(inner, outer.host)) return undefined;
  const start = outer.path === '' ? '' : `${outer.path}/`;
  if (inner.path === outer.path || !inner.path.startsWith(start)) return undefined;
  return inner.path.slice(start.length).split('/', 1)[0];
}
