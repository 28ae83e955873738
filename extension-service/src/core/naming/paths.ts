import { quoteInput } from '../image/quote.js';
import { formatReference, normalizeRegistry, parseReference } from '../image/reference.js';
import { decodeName, encodeName } from './escape.js';
import { hostFault } from './host-fault.js';
import { isLegalRepository, minSourceLength, longestRepository, withoutSlashes } from './target.js';
import type { RegistryPlace, TargetProblem } from './target.js';

/** A target's `paths` in their original form: the path of each source registry, below the target's own path. */
export type WrittenPaths = Readonly<Record<string, string>>;

/**
 * The paths below the host, by `host[:port]` as in a parsed reference, for entries without a problem in {@link
 * pathProblems}.
 */
export function pathsBelow({ path }: RegistryPlace, written: WrittenPaths): ReadonlyMap<string, string> {
  const start = path === '' ? '' : `${path}/`;
  return new Map(
    Object.entries(written).map(([key, value]) => [normalizeRegistry(key) ?? key, `${start}${withoutSlashes(value)}`]),
  );
}

/** Why images cannot be named with the paths; none if they are valid or there are none. */
export function pathProblems(place: RegistryPlace, written: WrittenPaths | undefined): readonly TargetProblem[] {
  if (written === undefined) return [];
  const entries = Object.entries(written);
  if (entries.length === 0)
    return [{ key: 'paths', message: 'is empty, so the target gets no images: add a registry' }];
  const problems: TargetProblem[] = [];
  const known: Entry[] = [];
  for (const [key, value] of entries) {
    const report = (message: string): unknown => problems.push({ key: 'paths', entry: key, message });
    const fault = hostFault(key);
    const registry = normalizeRegistry(key);
    if (fault !== undefined || registry === undefined) {
      report(fault === undefined ? `${quoteInput(key)} is not a valid host` : `${fault.message}: ${fault.allowed}`);
      continue;
    }
    const path = withoutSlashes(value);
    const wrong = pathFault(place, registry, path);
    if (wrong !== undefined) {
      report(wrong);
      continue;
    }
    const same = known.find((other) => other.registry === registry);
    const other = known.find((one) => isWithin(one.path, path) || isWithin(path, one.path));
    if (same !== undefined) report(`is the same registry as ${same.key}`);
    else if (other?.path === path) report(`${path} is the path of ${other.key} already`);
    else if (other !== undefined) report(`${path} and the path of ${other.key}, ${other.path}, are inside each other`);
    known.push({ key, registry, path });
  }
  return problems;
}

/** Whether the path `inner` equals `outer` or is below it. */
export function isWithin(outer: string, inner: string): boolean {
  return outer === '' || inner === outer || inner.startsWith(`${outer}/`);
}

/**
 * The registry whose images a target without `paths` would store at the path: `quay.io` for `quay.io/x`. Undefined if
 * there is only `registry`, the one that the path belongs to, whose images have the same names.
 */
export function hostInPath(
  path: string,
  registry: string,
  separators: RegistryPlace['separators'],
): string | undefined {
  if (encodeName({ registry, repository: 'x' }, separators).segment === path) return undefined;
  const segment = (path.split('/', 1)[0] ?? '').replace(/_short$/, '');
  const host = decodeName({ segment, repository: 'x' })?.registry;
  if (host === undefined || !isRegistry(host)) return undefined;
  return encodeName({ registry: host, repository: 'x' }, separators).segment === segment ? host : undefined;
}

interface Entry {
  readonly key: string;
  readonly registry: string;
  readonly path: string;
}

function pathFault(place: RegistryPlace, registry: string, path: string): string | undefined {
  if (path === '') return 'is empty: give the path of the registry in the target, such as docker-hub';
  const whole = place.path === '' ? path : `${place.path}/${path}`;
  if (!isLegalRepository({ ...place, repositoryLimit: Infinity }, whole)) {
    const separators = place.separators === 'single' ? 'single . _ -' : '. _ __ or -';
    return `${quoteInput(path)} is not a valid path: lower-case letters and digits, with ${separators} between them, in parts separated by /`;
  }
  const room = longestRepository(place) - whole.length - 1;
  if (room < minSourceLength) {
    return `host and path leave ${room} characters for the image's own name; at least ${minSourceLength} are needed`;
  }
  const host = hostInPath(path, registry, place.separators);
  return host === undefined
    ? undefined
    : `${path} is where images of ${host} go: choose a path that is not a host's name`;
}

function isRegistry(host: string): boolean {
  try {
    return parseReference(formatReference({ registry: host, repository: 'x', tag: '1' })).registry === host;
  } catch {
    return false;
  }
}
