import type { Swap } from '../../core/decide/answer.js';
import { imagePlace, withImage } from '../../core/decide/image-places.js';
import { isObject } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import type { AdditionPatch } from '../../core/decide/pod-additions.js';

/** The Pod after admission. */
export function patched(pod: JsonObject, swaps: readonly Swap[], additions: readonly AdditionPatch[]): JsonObject {
  let spec = isObject(pod['spec']) ? pod['spec'] : {};
  for (const { container, image } of swaps) {
    const place = imagePlace(container.list);
    const entries = [...((spec[place.list] ?? []) as JsonObject[])];
    const entry = entries[container.index];
    if (entry !== undefined) entries[container.index] = withImage(entry, place.image, image);
    spec = { ...spec, [place.list]: entries };
  }
  const swapped: JsonObject = { ...pod, spec };
  return additions.reduce<JsonObject>((result, { path, value }) => added(result, steps(path), value), swapped);
}

/** The part of RFC 6902 that {@link AdditionPatch} needs: object keys, and `-` for the end of a list. */
function added(object: JsonObject, [key = '', ...rest]: readonly string[], value: unknown): JsonObject {
  if (rest.length === 0) return { ...object, [key]: value as JsonObject };
  const child = object[key];
  // The order of pull secrets does not matter; the edit puts the new one first.
  if (rest[0] === '-' && Array.isArray(child))
    return { ...object, [key]: [value as JsonObject, ...(child as readonly JsonObject[])] };
  return { ...object, [key]: added(isObject(child) ? child : {}, rest, value) };
}

function steps(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}
