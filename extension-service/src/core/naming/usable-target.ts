import { pathProblems, pathsBelow } from './paths.js';
import type { WrittenPaths } from './paths.js';
import { InvalidTargetError, placeProblems } from './target.js';
import type { NamingTarget, PlaceKeys, RegistryPlace, TargetProblem } from './target.js';

/** Why images cannot be named with the location and the target's `paths`; none if they are valid. */
export function namingProblems(
  place: RegistryPlace,
  keys: PlaceKeys,
  written: WrittenPaths | undefined,
): readonly TargetProblem[] {
  if (place.needsPaths === true && written === undefined) {
    return [{ key: keys.path, message: 'required in a target without paths' }];
  }
  return [...placeProblems(place, keys), ...pathProblems(place, written)];
}

/**
 * @param written the target's `paths`
 * @throws InvalidTargetError if {@link namingProblems} returns any
 */
export function usableTarget(
  name: string,
  place: RegistryPlace,
  keys: PlaceKeys,
  written?: WrittenPaths,
): NamingTarget {
  const problems = namingProblems(place, keys, written);
  if (problems.length > 0) throw new InvalidTargetError(name, problems);
  return { name, ...place, ...(written !== undefined && { paths: pathsBelow(place, written) }) };
}
