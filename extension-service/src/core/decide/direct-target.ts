import { formatReference, InvalidReferenceError, parseReference } from '../image/reference.js';
import type { Reference } from '../image/reference.js';
import { isMirrorName, sourceOf, targetReference } from '../naming/name.js';
import type { TargetReference } from '../naming/name.js';
import type { DecisionInput } from './decide.js';
import { imagePlace, takesUpdates } from './image-places.js';
import { isStaticMirrorPod, podContainers } from './pod.js';
import type { PodContainer } from './pod.js';
import type { Rules, TargetRule } from './rules.js';

/** An image that a Pod names in a target itself (`source.directTarget`). */
export interface DirectTarget {
  readonly kind: 'container' | 'volume';
  readonly name: string;
  readonly image: string;
  readonly target: TargetRule;
  /** Its source image; absent for a shortened name, which does not contain it. */
  readonly source?: Reference;
  /** The name of that source in the target. */
  readonly reference?: TargetReference;
}

/**
 * The images that a Pod names in a target: in containers of all kinds and in image volumes. Opt-outs and filters are
 * ignored, since the author of a Pod writes the opt-outs. In updates, only new ephemeral containers are checked. Images
 * outside the mirror's prefix do not count.
 */
export function directTargets(rules: Rules, { pod, oldPod, operation }: DecisionInput): DirectTarget[] {
  if (isStaticMirrorPod(pod)) return [];
  const isUpdate = operation === 'UPDATE';
  const canGrow = ({ list }: PodContainer): boolean => takesUpdates(imagePlace(list));
  const old = new Set(
    podContainers(oldPod ?? {})
      .filter(canGrow)
      .map(({ name }) => name),
  );
  const places = podContainers(pod).filter((one) => !isUpdate || (canGrow(one) && !old.has(one.name)));
  return places.flatMap(({ list, name, image }) => {
    const found = inTarget(rules, image);
    return found === undefined ? [] : [{ kind: imagePlace(list).kind, name, image, ...found }];
  });
}

function inTarget(rules: Rules, image: string): Omit<DirectTarget, 'kind' | 'name' | 'image'> | undefined {
  let reference: Reference;
  try {
    reference = parseReference(image);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
  const naming = rules.origins.find(reference);
  const target = naming && rules.targets.find((rule) => rule.naming === naming);
  if (target === undefined || !isMirrorName(target.naming, reference)) return undefined;
  const source = sourceOf(target.naming, reference);
  return { target, ...(source !== undefined && { source, reference: targetReference(target.naming, source) }) };
}

/** The reason for refusing a Pod that names a target, addressed to its author. */
export function directTargetText({ image, source }: DirectTarget, why?: string): string {
  const instead =
    source === undefined ? 'use the image of the source instead' : `use ${formatReference(source)} instead`;
  const reason = why === undefined ? '' : `: ${why}`;
  return `${image} is a mirrored image, and source.directTarget is refuse${reason}; ${instead}`;
}
