import { IMAGE_PLACES, imagePlace } from '../core/decide/image-places.js';
import { isObject } from '../core/decide/pod.js';
import type { JsonObject, PodContainer } from '../core/decide/pod.js';
import type { PodPlace } from './pod-places.js';
import { namespaceOf, podOfTemplate, valueAt } from './pods-of-object.js';
import type { ObjectPath } from './pods-of-object.js';

/** Fields of a PodSpec that decisions read. A PodSpec of another project may hold other images beside them. */
const SPEC_FIELDS: readonly string[] = [
  ...IMAGE_PLACES.map(({ list }) => list),
  ...['imagePullSecrets', 'serviceAccountName', 'nodeSelector', 'affinity', 'os'],
];
const CONTAINER_FIELDS = ['name', 'image', 'imagePullPolicy'];

/**
 * The Pod that decisions see for a part of an object, in the given namespace. A part that has no metadata gets the
 * labels and annotations of the object.
 */
export function podAt(object: JsonObject, { form, path }: PodPlace, namespace: string | undefined): JsonObject {
  const value = valueAt(object, path);
  if (form === 'pod') return podOfTemplate(value as JsonObject, namespace);
  const { labels, annotations } = isObject(object['metadata']) ? object['metadata'] : ({} as JsonObject);
  const metadata = { ...(labels !== undefined && { labels }), ...(annotations !== undefined && { annotations }) };
  return podOfTemplate({ metadata, spec: specOf(form, value) }, namespace ?? namespaceOf(object));
}

function specOf(form: Exclude<PodPlace['form'], 'pod'>, value: unknown): JsonObject {
  switch (form) {
    case 'spec':
      return pick(value, SPEC_FIELDS);
    case 'list':
      return { containers: value } as JsonObject;
    case 'container':
      return { containers: [pick(value, CONTAINER_FIELDS)] };
  }
}

function pick(value: unknown, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(isObject(value) ? value : {}).filter(([key]) => keys.includes(key)));
}

/** The path of a container's reference in its object. */
export function imagePathIn({ form, path }: PodPlace, { list, index }: PodContainer): ObjectPath {
  const place = imagePlace(list);
  switch (form) {
    case 'pod':
      return [...path, 'spec', place.list, index, ...place.image];
    case 'spec':
      return [...path, place.list, index, ...place.image];
    case 'list':
      return [...path, index, ...place.image];
    case 'container':
      return [...path, ...place.image];
  }
}

/** Whether an image is a parameter that a controller fills in: Argo's, Tekton's or Katib's. */
export function isParameter({ hasParameters }: PodPlace, image: unknown): boolean {
  return hasParameters && typeof image === 'string' && PARAMETER.test(image);
}

const PARAMETER = /\{\{.*\}\}|\$\(.+\)|\$\{.+\}/;

/** The Pod without the containers whose image is a parameter. */
export function withoutParameters(pod: JsonObject, place: PodPlace): JsonObject {
  const { spec } = pod;
  if (!place.hasParameters || !isObject(spec)) return pod;
  const known = (entry: unknown): boolean => !(isObject(entry) && isParameter(place, entry['image']));
  const lists = Object.entries(spec).map(([key, value]) => [key, Array.isArray(value) ? value.filter(known) : value]);
  return { ...pod, spec: Object.fromEntries(lists) as JsonObject };
}
