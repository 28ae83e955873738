import type { OperatorConfig } from '../config/model.js';
import { takesUpdates } from '../decide/image-places.js';
import type { ImagePlace } from '../decide/image-places.js';
import { celString } from './literals.js';
import { celOf } from './pushdown/cel.js';
import { operatorsInCel } from './pushdown/operators.js';
import { skippedPods } from './pushdown/skipped.js';
import type { AdmissionRule, CelCondition } from './objects.js';
import type { ResolvedPodOptions } from './options.js';

/**
 * New Pods, and new ephemeral containers of running Pods. No other update: changing the image of a running container
 * restarts it.
 */
export const POD_RULES: readonly AdmissionRule[] = [
  { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
  { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['pods/ephemeralcontainers'] },
];

/**
 * True for a request that updates a Pod. At creation, kube-apiserver sends a null `oldObject` and Kyverno (1.19) an
 * empty object, and Kyverno does not compile `request.operation`; so this checks the form of the object.
 */
export const IS_UPDATE = 'oldObject != null && has(oldObject.spec)';

/** The names of the ephemeral containers that the Pod already had; these can no longer change. */
export const OLD_EPHEMERAL_NAMES =
  `${IS_UPDATE} && has(oldObject.spec.ephemeralContainers)` +
  ' ? oldObject.spec.ephemeralContainers.map(c, c.name) : []';

/** Static Pods: the kubelet has already started them from its own manifest; the API object only mirrors them. */
const NOT_A_MIRROR_POD: CelCondition = {
  name: 'not-a-mirror-pod',
  expression: '!has(object.metadata.annotations) || !("kubernetes.io/config.mirror" in object.metadata.annotations)',
};

/**
 * Conditions that avoid the call for a Pod in which nothing can be swapped. They only use Kubernetes' own CEL (no
 * Kyverno library, no `variables`), so that kube-apiserver evaluates them without a request to the engine.
 */
export function podConditions(
  filters: readonly string[],
  directTarget: 'keep' | 'refuse' = 'keep',
  operators: readonly OperatorConfig[] = [],
): readonly CelCondition[] {
  const ofOperator = operatorsInCel(operators);
  // Any Pod may name a target, and its author writes the opt-outs, so the service decides.
  if (directTarget === 'refuse') return [NOT_A_MIRROR_POD];
  return [
    NOT_A_MIRROR_POD,
    ...(ofOperator === undefined ? [] : [{ name: 'not-of-an-operator', expression: `!${ofOperator}` }]),
    ...skippedPods(filters, celOf).pod.map(({ name, text }) => ({ name, expression: `!${text}` })),
  ];
}

/**
 * A condition that avoids the call for a Pod whose images are all in a target or excluded by filters. Not for a webhook
 * that should run again after later ones: the API server does not call a webhook again that did not match the first
 * time, so sidecars that are injected later would be missed.
 */
export function imagesOutside(
  targets: readonly string[],
  filters: readonly string[],
  { places }: ResolvedPodOptions,
): CelCondition {
  const skippedContainers = skippedPods(filters, celOf).container.map(({ text }) => text);
  const settled = [hasTargetPrefix('c.image', targets), NEVER_PULLED, ...skippedContainers].join(' || ');
  return { name: 'has-image-outside-targets', expression: existsAt(places, `!has(c.image) || !(${settled})`) };
}

/**
 * A condition that is true for a Pod with an image outside the targets for which one of `undecided` holds, and none of
 * `excluded`: CEL about the entry `c`. As above, sidecars that later webhooks add to other Pods are missed.
 */
export function undecidedImages(
  undecided: readonly string[],
  {
    targets,
    excluded,
    pods: { places },
  }: { readonly targets: readonly string[]; readonly excluded: readonly string[]; readonly pods: ResolvedPodOptions },
): CelCondition {
  const settled = [hasTargetPrefix('c.image', targets), NEVER_PULLED, ...excluded].join(' || ');
  const condition = `has(c.image) && !(${settled})\n  && (${undecided.join(' || ')})`;
  return { name: 'has-undecided-image', expression: existsAt(places, condition) };
}

/** CEL that is true if `condition` is true for an entry `c` in one of the places. */
function existsAt(places: readonly ImagePlace[], condition: string): string {
  const lists = places.map((place) => `  ${containersAt(place)}`).join(' +\n');
  return `(\n${lists}\n).exists(c, ${condition})`;
}

const NEVER_PULLED = '(has(c.imagePullPolicy) && c.imagePullPolicy == "Never")';

/** CEL that is true if the kubelet never pulls the image of the entry `variable`. */
export function celNeverPulled({ pullPolicy }: ImagePlace, variable: string): string {
  const depths = pullPolicy.map((_, depth) => `has(${[variable, ...pullPolicy.slice(0, depth + 1)].join('.')})`);
  return `(${depths.join(' && ')} && ${[variable, ...pullPolicy].join('.')} == "Never")`;
}

/**
 * CEL: the entries of a location that this request can change, as a list of objects with `name` and `image`, like
 * containers.
 */
function containersAt(place: ImagePlace): string {
  const entries = `object.spec.${place.list}`;
  if (!takesUpdates(place)) return `(!(${IS_UPDATE}) && has(${entries}) ? ${entries}${asContainers(place)} : [])`;
  const old = `oldObject.spec.${place.list}`;
  return [
    `(has(${entries})`,
    `    ? ${entries}.filter(c,`,
    `        !(${IS_UPDATE} && has(${old})`,
    `          && ${old}.exists(old, old.${place.name} == c.${place.name})))${asContainers(place)}`,
    '    : [])',
  ].join('\n');
}

/** CEL for the rest of a list expression: its entries in the form of containers, without those that have no image. */
function asContainers(place: ImagePlace): string {
  if (place.image.length === 1) return '';
  const pulled = `${celHasImage(place, 'e')} && !${celNeverPulled(place, 'e')}`;
  return `.filter(e, ${pulled}).map(e, {"name": e.${place.name}, "image": ${celImage(place, 'e')}})`;
}

/** CEL that is true if the entry `variable` of a location has a reference. */
export function celHasImage({ image }: ImagePlace, variable: string): string {
  return image.map((_, depth) => `has(${[variable, ...image.slice(0, depth + 1)].join('.')})`).join(' && ');
}

/** CEL for the reference of the entry `variable`. */
export function celImage({ image }: ImagePlace, variable: string): string {
  return [variable, ...image].join('.');
}

/** CEL that is true if the string `expression` begins with one of the targets. */
export function hasTargetPrefix(expression: string, targets: readonly string[]): string {
  return targets
    .map((target, index) => `${expression}.startsWith(${celString(target, `targets[${index}]`)})`)
    .join(' || ');
}
