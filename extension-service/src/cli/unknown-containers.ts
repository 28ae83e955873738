import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import { CONTAINER_LISTS, hasImage, podPlacesOf } from './pod-places.js';
import type { PodPlace } from './pod-places.js';
import { objectPathsOf, titleOf, valueAt } from './pods-of-object.js';
import type { ObjectPath } from './pods-of-object.js';

/** Images of an object whose kind is not known. */
export interface UnknownContainers {
  /** `Widget team-a/web` */
  readonly title: string;
  /** The first list of containers that is not looked at, as a path in the document. */
  readonly path: ObjectPath;
  /** The same, as `spec.widget.containers` in its object. */
  readonly field: string;
}

/** Policies contain patterns of containers, and no Pods. */
const POLICY_GROUPS = /(?:^|\.)(?:kyverno\.io|gatekeeper\.sh|admissionregistration\.k8s\.io)$/;

/** The objects of a document with images in lists of containers that belong to none of their known Pods. */
export function unknownContainers(value: unknown): readonly UnknownContainers[] {
  return objectPathsOf(value).flatMap((objectPath) => {
    const object = valueAt(value, objectPath);
    if (!isObject(object) || typeof object['kind'] !== 'string' || isPolicy(object)) return [];
    const known = new Set(podPlacesOf(object).flatMap(listsOf));
    const list = containerLists(object, []).find((path) => !known.has(JSON.stringify(path)));
    if (list === undefined) return [];
    return [{ title: titleOf(object), path: [...objectPath, ...list], field: fieldOf(list) }];
  });
}

/** For messages; continues the place or the title. */
export function unknownNote({ title, field }: UnknownContainers): string {
  return `${title} has images under ${field}, which are not changed: image-swapper does not know this kind`;
}

function isPolicy({ apiVersion }: JsonObject): boolean {
  return typeof apiVersion === 'string' && POLICY_GROUPS.test(apiVersion.split('/', 1)[0] ?? '');
}

function listsOf({ form, path }: PodPlace): readonly string[] {
  const parent = form === 'pod' ? [...path, 'spec'] : path;
  const lists = form === 'list' ? [path] : CONTAINER_LISTS.map((list) => [...parent, list]);
  return lists.map((list) => JSON.stringify(list));
}

function containerLists(value: unknown, path: ObjectPath): readonly ObjectPath[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => containerLists(item, [...path, index]));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const here = [...path, key];
    const isList = CONTAINER_LISTS.includes(key) && Array.isArray(child) && child.some(hasImage);
    return [...(isList ? [here] : []), ...containerLists(child, here)];
  });
}

/** `spec.template.spec.containers[0].image` */
export function fieldOf(path: ObjectPath): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    .join('')
    .slice(1);
}
