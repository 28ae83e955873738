import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import { IMAGE_PLACES } from '../core/decide/image-places.js';
import { POD_KINDS } from './pod-kinds.js';
import type { PodKind } from './pod-kinds.js';
import { valueAt } from './pods-of-object.js';
import type { ObjectPath } from './pods-of-object.js';

/** A part of an object that names images of its Pods. */
export interface PodPlace {
  readonly path: ObjectPath;
  /** What is at the path: a Pod or its template, a PodSpec, a list of containers, or a mapping with an `image`. */
  readonly form: 'pod' | 'spec' | 'list' | 'container';
  /** Whether parameters in images are filled in before Pods are created. */
  readonly hasParameters: boolean;
}

/**
 * The parts of an object that name images of its Pods: the object itself for a Pod, the template of a workload of any
 * kind, and those of the table of kinds. None if it creates no Pods, or is of an unknown kind.
 */
export function podPlacesOf(object: JsonObject): readonly PodPlace[] {
  const kind = kindOf(object);
  const hasParameters = kind?.hasParameters === true;
  const place = (form: PodPlace['form'], path: ObjectPath): PodPlace => ({ path, form, hasParameters });
  const template = TEMPLATES.find((path) => hasPodSpec(valueAt(object, path)));
  const isPod = object['kind'] === 'Pod' || (object['kind'] === undefined && hasPodSpec(object));
  const places = [
    ...(template !== undefined ? [place('pod', template)] : isPod ? [place('pod', [])] : []),
    ...found(object, kind?.templates, hasPodSpec).map((path) => place('pod', path)),
    ...found(object, kind?.specs, isPodSpec).map((path) => place('spec', path)),
    ...found(object, kind?.containers, Array.isArray).map((path) => place('list', path)),
    ...found(object, kind?.containers, hasImage).map((path) => place('container', path)),
    ...found(object, kind?.objects, isObject).flatMap((path) =>
      podPlacesOf(valueAt(object, path) as JsonObject).map((inner) => ({
        form: inner.form,
        path: [...path, ...inner.path],
        hasParameters: hasParameters || inner.hasParameters,
      })),
    ),
  ];
  return [...new Map(places.map((one) => [JSON.stringify(one.path), one])).values()];
}

function kindOf({ apiVersion, kind }: JsonObject): PodKind | undefined {
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined;
  const group = apiVersion.split('/', 1)[0];
  return POD_KINDS.find((one) => one.group === group && one.kinds.includes(kind));
}

const TEMPLATES: readonly ObjectPath[] = [
  ['spec', 'template'],
  ['spec', 'jobTemplate', 'spec', 'template'],
  ['template'],
];

/** The keys of lists of containers in Pods. */
export const CONTAINER_LISTS: readonly string[] = IMAGE_PLACES.filter(({ kind }) => kind === 'container').map(
  ({ list }) => list,
);

function isPodSpec(value: unknown): boolean {
  return isObject(value) && CONTAINER_LISTS.some((list) => Array.isArray(value[list]));
}

function hasPodSpec(value: unknown): boolean {
  return isObject(value) && isPodSpec(value['spec']);
}

export function hasImage(value: unknown): boolean {
  return isObject(value) && typeof value['image'] === 'string';
}

/** The paths that a pattern of the table stands for and whose value is of the wanted form. */
function found(
  object: JsonObject,
  patterns: readonly string[] = [],
  isWanted: (value: unknown) => boolean,
): readonly ObjectPath[] {
  return patterns.flatMap((pattern) => {
    const steps = pattern.replaceAll('[]', '.[]').split('.');
    const paths = steps.reduce<readonly ObjectPath[]>(
      (all, step) => all.flatMap((path) => stepsFrom(valueAt(object, path), step).map((key) => [...path, key])),
      [[]],
    );
    return paths.filter((path) => isWanted(valueAt(object, path)));
  });
}

function stepsFrom(value: unknown, step: string): readonly (string | number)[] {
  if (Array.isArray(value)) return step === '[]' ? [...value.keys()] : [];
  if (!isObject(value)) return [];
  if (step === '*') return Object.keys(value);
  return Object.hasOwn(value, step) ? [step] : [];
}
