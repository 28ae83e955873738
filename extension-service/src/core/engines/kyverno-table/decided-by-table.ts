import { ORIGINAL_IMAGES_KEY } from '../../decide/pod-additions.js';
import { celString } from '../../policies/literals.js';
import type { CelCondition } from '../../policies/objects.js';
import type { ResolvedPodOptions } from '../../policies/options.js';
import { hasTargetPrefix } from '../../policies/pod-conditions.js';
import type { DecidedTarget } from '../engine.js';
import { filterConditions, matchConditions, undecidedBy } from '../mutating-admission-policy/limits.js';
import { placeVariables } from '../mutating-admission-policy/places.js';
import { missesPlatform, PLATFORM_VARIABLES } from '../mutating-admission-policy/platforms.js';
import { keysOf } from '../mutating-admission-policy/reference-cel.js';
import { TABLE_PROJECTION } from './objects.js';

/** The settings with which a policy decides Pods by the table. */
export interface TableDecisions {
  /** Name of the GlobalContextEntry. */
  readonly entry: string;
  /** In the order in which they are tried. */
  readonly targets: readonly DecidedTarget[];
}

interface PolicyParts {
  /** Prefixes of image references that Pods may be swapped to. */
  readonly targets: readonly string[];
  readonly filters: readonly string[];
  readonly pods: ResolvedPodOptions;
  /** CEL that is true for a text with only the characters of references. */
  readonly isReference: (text: string) => string;
}

/**
 * Variables that decide a Pod with the table:
 * - `asks`: the service must decide the Pod, because of an image that the table does not have, or because CEL cannot;
 * - `swaps`: the images of any other Pod, as maps of `path`, `value`, `name` and `image`.
 *
 * Missing data, such as a GlobalContextEntry that Kyverno has not loaded, makes the policy ask about every image.
 */
export function tableVariables(
  { entry, targets: decided }: TableDecisions,
  { targets, filters, pods, isReference }: PolicyParts,
): readonly CelCondition[] {
  const conditions = filterConditions(filters, 'webhook');
  const matches = decided.map((target) => matchConditions(target, 'webhook'));
  const undecided = undecidedBy(conditions, matches);
  const prefixes = hasTargetPrefix('v', targets);
  const chosen = decided.map((target, index): string => {
    const value =
      target.copyPolicy === 'force' ? '""' : `string(variables.found[?${name(target)}][?c.image].orValue(""))`;
    const selects = [...takes(target), matches[index]?.selects].flatMap((one) => one ?? []);
    return selects.length === 0 ? value : `${selects.join(' && ')} ? ${value} :`;
  });
  const certain = undecided.length === 0 ? '' : `${undecided.map((text) => `(${text})`).join(' || ')} ? "" :\n  `;
  return [
    ...placeVariables(conditions, pods).filter(({ name: own }) => own !== 'oldEphemeralNames'),
    {
      name: 'outside',
      expression: `variables.places.filter(c, !(${hasTargetPrefix('c.image', targets)}))`,
    },
    { name: 'keys', expression: keysOf('variables.outside.map(c, c.image)') },
    {
      name: 'tables',
      // Kyverno returns null without the entry, and until it has read the objects.
      expression: `[globalContext.Get(${celString(entry, 'name')}, "${TABLE_PROJECTION}")].map(t, t == null ? dyn([]) : dyn(t))[0]`,
    },
    {
      name: 'found',
      expression: [
        `[${[...new Set(decided.map(name))].join(', ')}].transformMapEntry(i, target, {target:`,
        '  variables.keys.transformMap(ref, k,',
        `    variables.tables.exists(t, t.target == target && (${KEY}) in t.images),`,
        `    string(variables.tables.filter(t, t.target == target && (${KEY}) in t.images)[0].images[${KEY}]))`,
        `  .transformMap(ref, v, (${prefixes}) && ${isReference('v')}, v)})`,
      ].join('\n'),
    },
    {
      name: 'decisions',
      expression: [
        `variables.outside.map(c, {"path": c.path, "name": c.name, "image": c.image, "value":`,
        `  ${certain}${chosen.join('\n  ')}${chosen.at(-1)?.endsWith(':') === true ? ' ""' : ''}})`,
      ].join('\n'),
    },
    ...(limitsOf(decided).length === 0 ? [] : PLATFORM_VARIABLES),
    { name: 'asks', expression: asks(decided, pods) },
    { name: 'swaps', expression: 'variables.asks ? [] : variables.decisions' },
  ];
}

/** Images of other registries go to the next target. */
function takes({ naming: { paths } }: DecidedTarget): readonly string[] {
  if (paths === undefined) return [];
  const registries = [...paths.keys()].map((registry) => celString(registry, 'targets'));
  return [`c.image in variables.keys && variables.keys[c.image].registry in [${registries.join(', ')}]`];
}

const KEY = 'k.dir + "/" + k.name + k.separator + k.shown';

function name({ naming }: DecidedTarget): string {
  return celString(naming.name, 'targets');
}

/** The platforms of each target that does not hold all of them. */
function limitsOf(targets: readonly DecidedTarget[]): readonly (readonly string[])[] {
  return targets.flatMap(({ platforms = 'all' }) => (platforms === 'all' ? [] : [platforms]));
}

function asks(targets: readonly DecidedTarget[], { annotate }: ResolvedPodOptions): string {
  const missing = limitsOf(targets).map((platforms) => `(${missesPlatform(platforms)})`);
  return [
    'variables.decisions.exists(c, c.value == "")',
    // The service keeps the Pod's images of the targets without its platform.
    ...(missing.length === 0 ? [] : [`size(variables.outside) > 0 && (${missing.join(' || ')})`]),
    // The service adds to the annotation of an earlier pass.
    ...(annotate ? [`size(variables.outside) > 0 && ${HAS_ORIGINALS}`] : []),
  ].join('\n  || ');
}

const HAS_ORIGINALS = `(has(object.metadata.annotations) && ${celString(ORIGINAL_IMAGES_KEY, 'annotation')} in object.metadata.annotations)`;

/** CEL for the additions to a Pod that the table decides, in the form of the service's answer. */
export function additionsByTable({ pullSecret, annotate }: ResolvedPodOptions): string {
  const fields = [
    ...(pullSecret === undefined ? [] : [`"pullSecret": ${celString(pullSecret, 'pods.pullSecret')}`]),
    ...(annotate ? [`"originalImages": ${ORIGINALS}`] : []),
  ];
  return `size(variables.swaps) == 0 ? dyn({}) : dyn({${fields.join(', ')}})`;
}

/** Same limit as `core/decide/pod-additions.ts`. The policy's guard checks the characters. */
const ORIGINALS =
  '["{" + variables.swaps.map(c, "\\"" + (c.path.startsWith("/spec/volumes/") ? "volumes/" : "") + c.name + "\\":\\"" + c.image + "\\"").join(",") + "}"]' +
  '.map(text, size(text) <= 65536 ? text : "")[0]';
