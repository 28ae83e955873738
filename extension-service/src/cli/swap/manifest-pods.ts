import type { Document } from 'yaml';
import { isObject } from '../../core/decide/pod.js';
import type { JsonObject, PodContainer } from '../../core/decide/pod.js';
import { imagePlace } from '../../core/decide/image-places.js';
import type { ManifestDocuments } from '../manifest-documents.js';
import { namespaceOf, objectPathsOf, podOfTemplate, podPathOf, valueAt } from '../pods-of-object.js';
import type { ObjectPath } from '../pods-of-object.js';

/** The Pod of an object in a manifest: a Pod, or a template. */
export interface ManifestPod {
  readonly object: JsonObject;
  /** The object's own path in its document. */
  readonly objectPath: ObjectPath;
  /** The Pod's path in the document. */
  readonly path: ObjectPath;
  /** The Pod for decisions: of kind Pod, in the object's namespace. */
  readonly pod: JsonObject;
  readonly namespace: string;
}

/** A document that contains Pods. */
export interface DocumentPods {
  readonly document: Document.Parsed;
  readonly value: unknown;
  readonly pods: readonly ManifestPod[];
}

/** The documents that contain Pods; Pods without a namespace get the given one. */
export function podsOfDocuments(manifests: ManifestDocuments, namespace: string): readonly DocumentPods[] {
  return manifests.documents.flatMap((document) => {
    const value = manifests.valueOf(document);
    const pods = podsOf(value, namespace);
    return pods.length === 0 ? [] : [{ document, value, pods }];
  });
}

export function podsOf(value: unknown, namespace: string): readonly ManifestPod[] {
  return objectPathsOf(value).flatMap((objectPath): readonly ManifestPod[] => {
    const object = valueAt(value, objectPath);
    const podPath = isObject(object) ? podPathOf(object) : undefined;
    if (!isObject(object) || podPath === undefined) return [];
    const inNamespace = namespaceOf(object) ?? namespace;
    const pod = podOfTemplate(valueAt(object, podPath) as JsonObject, inNamespace);
    return [{ object, objectPath, path: [...objectPath, ...podPath], pod, namespace: inNamespace }];
  });
}

/** The path of a container's reference in the document. */
export function imagePathOf({ path }: ManifestPod, { list, index }: PodContainer): ObjectPath {
  const place = imagePlace(list);
  return [...path, 'spec', place.list, index, ...place.image];
}
