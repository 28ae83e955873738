import type { Document } from 'yaml';
import { isObject } from '../../core/decide/pod.js';
import type { JsonObject, PodContainer } from '../../core/decide/pod.js';
import type { ManifestDocuments } from '../manifest-documents.js';
import { podPlacesOf } from '../pod-places.js';
import type { PodPlace } from '../pod-places.js';
import { imagePathIn, podAt } from '../pod-view.js';
import { namespaceOf, objectPathsOf, valueAt } from '../pods-of-object.js';
import type { ObjectPath } from '../pods-of-object.js';

/** A part of an object in a manifest that names images of its Pods. */
export interface ManifestPod {
  readonly object: JsonObject;
  /** The object's own path in its document. */
  readonly objectPath: ObjectPath;
  /** The part of the object. */
  readonly place: PodPlace;
  /** The path of that part in the document. */
  readonly path: ObjectPath;
  /** The Pod for decisions: of kind Pod, in the object's namespace. */
  readonly pod: JsonObject;
  readonly namespace: string;
}

/** A document that contains objects. */
export interface DocumentPods {
  readonly document: Document.Parsed;
  readonly value: unknown;
  /** None if its objects create no Pods. */
  readonly pods: readonly ManifestPod[];
}

/** The documents and their Pods; Pods without a namespace get the given one. */
export function podsOfDocuments(manifests: ManifestDocuments, namespace: string): readonly DocumentPods[] {
  return manifests.documents.map((document) => {
    const value = manifests.valueOf(document);
    return { document, value, pods: podsOf(value, namespace) };
  });
}

export function podsOf(value: unknown, namespace: string): readonly ManifestPod[] {
  return objectPathsOf(value).flatMap((objectPath): readonly ManifestPod[] => {
    const object = valueAt(value, objectPath);
    if (!isObject(object)) return [];
    const inNamespace = namespaceOf(object) ?? namespace;
    return podPlacesOf(object).map((place) => ({
      ...{ object, objectPath, place, path: [...objectPath, ...place.path] },
      ...{ pod: podAt(object, place, inNamespace), namespace: inNamespace },
    }));
  });
}

/** The path of a container's reference in the document. */
export function imagePathOf({ objectPath, place }: ManifestPod, container: PodContainer): ObjectPath {
  return [...objectPath, ...imagePathIn(place, container)];
}
