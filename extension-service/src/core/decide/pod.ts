import { IMAGE_PLACES, imagePlace, readPath } from './image-places.js';
import type { ImagePlaceKey } from './image-places.js';
import { quoteInput } from '../image/quote.js';
import { isObjectName } from './kubernetes-names.js';

/**
 * The part of a Pod that decisions read. Pods are plain JSON from outside: every field may be missing or of another
 * type.
 */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** One image of a Pod with its owner: a container, or another entry of the table of locations. */
export interface PodContainer {
  /** Key of its location. */
  readonly list: ImagePlaceKey;
  /** Position in its list. */
  readonly index: number;
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  /** As in the Pod; a volume as `name`, `image` and `kind: volume`. */
  readonly object: JsonObject;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Everything that has an image, in all locations, in the Pod's order. */
export function podContainers(pod: JsonObject): PodContainer[] {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const containers: PodContainer[] = [];
  for (const place of IMAGE_PLACES) {
    const entries = spec[place.list];
    if (!Array.isArray(entries)) continue;
    entries.forEach((entry: Json, index) => {
      if (!isObject(entry)) return;
      const image = readPath(entry, place.image);
      if (typeof image !== 'string' || image === '') return;
      const name = entry[place.name];
      const imagePullPolicy = readPath(entry, place.pullPolicy);
      const container = {
        list: place.key,
        index,
        name: typeof name === 'string' ? name : '',
        image,
        object: place.kind === 'container' ? entry : { name: name ?? '', image, kind: place.kind },
      };
      containers.push(typeof imagePullPolicy === 'string' ? { ...container, imagePullPolicy } : container);
    });
  }
  return containers;
}

/**
 * The Pod as filters see it. k8s-image-swapper marshals a typed Pod, so the request's namespace is filled in, and
 * `status`, `metadata.creationTimestamp` and each container's `resources` exist even when empty.
 */
export function filterObject(pod: JsonObject, namespace: string): JsonObject {
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const filled: Record<string, Json | undefined> = { ...spec };
  for (const { list, kind } of IMAGE_PLACES) {
    const entries = spec[list];
    if (kind !== 'container') continue;
    if (Array.isArray(entries))
      filled[list] = entries.map((entry: Json) => (isObject(entry) ? withResources(entry) : entry));
  }
  return {
    ...pod,
    metadata: { creationTimestamp: null, ...metadata, ...(namespace !== '' && { namespace }) },
    spec: filled,
    status: isObject(pod['status']) ? pod['status'] : {},
  };
}

/** The value of `container` in filters. */
export function filterContainer({ list, object }: PodContainer): JsonObject {
  return imagePlace(list).kind === 'container' ? withResources(object) : object;
}

function withResources(container: JsonObject): JsonObject {
  return container['resources'] === undefined ? { ...container, resources: {} } : container;
}

/** A static Pod's mirror: the kubelet compares it with its manifest, so a change of its image would fight the node. */
export function isStaticMirrorPod(pod: JsonObject): boolean {
  return podAnnotations(pod)['kubernetes.io/config.mirror'] !== undefined;
}

/** Label or annotation, `"true"`: the Pod is not swapped. */
export const SKIP_KEY = 'image-swapper.io/skip';
/**
 * Annotation: comma-separated names of containers that are not swapped; other entries as `KEY/NAME`, such as
 * `volumes/model`.
 */
export const SKIP_CONTAINERS_KEY = 'image-swapper.io/skip-containers';

export function isOptedOut(pod: JsonObject): boolean {
  return podLabels(pod)[SKIP_KEY] === 'true' || podAnnotations(pod)[SKIP_KEY] === 'true';
}

/** The mistake in a label or annotation that looks like an opt-out; undefined if there is none, or it is valid. */
export function optOutHint(pod: JsonObject): string | undefined {
  if (isOptedOut(pod)) return undefined;
  const written = podLabels(pod)[SKIP_KEY] ?? podAnnotations(pod)[SKIP_KEY];
  if (written === undefined || written === 'false') return undefined;
  return `${SKIP_KEY} has no effect: its value is ${quoteInput(typeof written === 'string' ? written : JSON.stringify(written))}, and only "true" opts the Pod out`;
}

/** Whether the Pod's annotation names the container. */
export function optedOutContainers(pod: JsonObject): (container: PodContainer) => boolean {
  const text = podAnnotations(pod)[SKIP_CONTAINERS_KEY];
  if (typeof text !== 'string') return () => false;
  const names = new Set(text.split(',').map((name) => name.trim()));
  return ({ list, name }) => names.has(`${list}/${name}`) || (imagePlace(list).kind === 'container' && names.has(name));
}

/** No real Pod lists more; each costs a request to the API server. */
const MAX_PULL_SECRETS = 50;

/** The names of the pull secrets that the Pod itself lists, at most 50, without invalid names. */
export function imagePullSecretNames(pod: JsonObject): string[] {
  return listedPullSecrets(pod).filter(isObjectName);
}

/** Invalid names of pull secrets and of the ServiceAccount: nothing is read for them. */
export function ignoredPullNames(pod: JsonObject): string[] {
  return [...listedPullSecrets(pod), listedServiceAccount(pod)].filter((name) => !isObjectName(name));
}

function listedPullSecrets(pod: JsonObject): string[] {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const secrets = spec['imagePullSecrets'];
  if (!Array.isArray(secrets)) return [];
  return secrets
    .slice(0, MAX_PULL_SECRETS)
    .flatMap((secret: Json) =>
      isObject(secret) && typeof secret['name'] === 'string' && secret['name'] !== '' ? [secret['name']] : [],
    );
}

/** Empty if the Pod's name for it is invalid. */
export function serviceAccountName(pod: JsonObject): string {
  const name = listedServiceAccount(pod);
  return isObjectName(name) ? name : '';
}

function listedServiceAccount(pod: JsonObject): string {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  // Manifests may have only the deprecated field; the API server copies it to the other one.
  const name = [spec['serviceAccountName'], spec['serviceAccount']].find((text) => text !== undefined && text !== '');
  return typeof name === 'string' ? name : 'default';
}

export function podLabels(pod: JsonObject): JsonObject {
  return metadataMap(pod, 'labels');
}

export function podAnnotations(pod: JsonObject): JsonObject {
  return metadataMap(pod, 'annotations');
}

function metadataMap(pod: JsonObject, key: string): JsonObject {
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  const map = metadata[key];
  return isObject(map) ? map : {};
}
