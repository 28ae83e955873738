import type { NamingTarget } from '../../naming/target.js';
import { imagePaths, longestRepository, maxSourceLength } from '../../naming/target.js';
import { celString, celStringMap } from '../../policies/literals.js';
import type { DecidedTarget } from '../engine.js';
import { IS_VALID } from './reference-cel.js';

/**
 * A map of the names in the target that CEL can compute itself, by reference, without images that are already in a
 * target. CEL cannot compute hashes or lengths of runs. It therefore omits names that are too long, that have runs of
 * separators in a registry that does not accept them, or that contain an IPv6 address. The service names all of them.
 *
 * @param base the part before the source's name, as a CEL literal
 */
export function computedNames({ naming }: DecidedTarget, base: string, targets: readonly DecidedTarget[]): string {
  const segment =
    '(k.registry.contains(":") ? k.registry.replace(":", "_") : ' +
    'k.registry.contains(".") || k.registry == "localhost" ? k.registry : k.registry + "_host")';
  return [
    'variables.keys.transformMap(ref, k,',
    `  ${IS_VALID}`,
    `  && size(${segment} + "/" + k.repository) <= ${maxSourceLength(naming)}`,
    ...(naming.separators === 'single' ? ['  && !(k.registry + "/" + k.repository).matches("--|__")'] : []),
    ...targets.map((target) => `  && !${isInTarget(target.naming)}`),
    `  , ${base} + ${segment} + "/" + k.repository + k.separator + k.shown)`,
  ].join('\n');
}

/**
 * A map of the names in a target with `paths`, by reference. References without an entry go to the next target. A
 * registry that is an IPv6 address has no path here; the service names its images.
 */
export function namesUnderPaths(
  { naming }: DecidedTarget,
  paths: ReadonlyMap<string, string>,
  targets: readonly DecidedTarget[],
): string {
  const map = celStringMap(Object.fromEntries(paths));
  return [
    `[${map}].map(paths, variables.keys.transformMap(ref, k,`,
    `  ${IS_VALID} && k.registry in paths`,
    `  && size(paths[k.registry] + "/" + k.repository) <= ${longestRepository(naming)}`,
    ...(naming.separators === 'single' ? ['  && !k.repository.matches("--|__")'] : []),
    ...targets.map((target) => `  && !${isInTarget(target.naming)}`),
    `  , ${celString(`${naming.host}/`, 'targets')} + paths[k.registry] + "/" + k.repository + k.separator + k.shown))[0]`,
  ].join('\n');
}

/** Same rule as in `core/naming/origin.ts`. */
function isInTarget(target: NamingTarget): string {
  const { host, aliases, wholeRegistry } = target;
  const hosts = [...new Set([host, ...aliases].map((one) => one.replace(/:443$/, '')))];
  const literals = hosts.map((one) => celString(one, 'targets')).join(', ');
  const registry = '(k.registry.endsWith(":443") ? k.registry.replace(":443", "") : k.registry)';
  const isHost = `${registry} in [${literals}]`;
  const paths = imagePaths(target);
  if (paths.includes('') || wholeRegistry) return `(${isHost})`;
  const below = paths.map((path) => `k.repository.startsWith(${celString(`${path}/`, 'targets')})`);
  return `(${isHost} && ${below.length === 1 ? below[0] : `(${below.join(' || ')})`})`;
}
