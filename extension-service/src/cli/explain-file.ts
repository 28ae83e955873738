import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import { CliError, EXIT } from './exit.js';
import { parseManifests } from './manifest-documents.js';
import { CONTAINER_LISTS, podPlacesOf } from './pod-places.js';
import { podAt, withoutParameters } from './pod-view.js';
import { namespaceOf, objectPathsOf, titleOf, valueAt } from './pods-of-object.js';
import { fieldOf, unknownContainers, unknownNote } from './unknown-containers.js';

/** A Pod in a file, or the Pod that an object in the file creates. */
export interface PodInFile {
  /** `Deployment team-a/web` */
  readonly title: string;
  readonly pod: JsonObject;
}

export interface PodsInFile {
  readonly pods: readonly PodInFile[];
  /** Titles of the objects that create no Pods. */
  readonly others: readonly string[];
  /** Objects with images that cannot be explained. */
  readonly notes: readonly string[];
}

/** Maximum number of documents, list items and requests in one file. */
const MAX_OBJECTS = 1_000;

/**
 * The Pods of a manifest: Pods, workloads with a Pod template, lists of them, and AdmissionReviews, in one or several
 * documents.
 *
 * @throws CliError if it is not YAML, or contains no Pod
 */
export function podsInFile(source: string, file: string): PodsInFile {
  const { documents, valueOf } = parseManifests(source, file);
  const pods: PodInFile[] = [];
  const others: string[] = [];
  const notes: string[] = [];
  for (const document of documents) {
    const value = valueOf(document);
    notes.push(...unknownContainers(value).map(unknownNote));
    for (const object of objectPathsOf(value).map((path) => valueAt(value, path))) {
      const found = podsOf(object);
      if (found.length === 0 && isObject(object) && podPlacesOf(object).length > 0)
        notes.push(`${titleOf(object)} has only images that are parameters`);
      else if (found.length === 0 && unknownContainers(object).length === 0) others.push(titleOf(object));
      pods.push(...found);
      if (pods.length + others.length > MAX_OBJECTS)
        throw new CliError(EXIT.usage, `${file}: more than ${MAX_OBJECTS} objects; split the file`);
    }
  }
  if (pods.length > 0) return { pods, others, notes };
  const titles = [...notes, ...others];
  const found = titles.length === 0 ? 'it is empty' : `found ${titles.slice(0, 5).join(', ')}`;
  const wanted = 'a Pod, a workload with a Pod template (such as a Deployment), a List or an AdmissionReview';
  throw new CliError(EXIT.usage, `${file}: no Pod to explain (${found}): expected ${wanted}`);
}

function podsOf(object: unknown): readonly PodInFile[] {
  if (!isObject(object)) return [];
  const request = isObject(object['request']) ? object['request'] : isRequest(object) ? object : undefined;
  if (request !== undefined) {
    const inner = podsOf(request['object']);
    const namespace = request['namespace'];
    return typeof namespace === 'string' ? inner.map((pod) => withNamespace(pod, namespace)) : inner;
  }
  const places = podPlacesOf(object);
  const title = titleOf(object);
  return places.flatMap((place) => {
    // Pods are in the namespace of their workload.
    const pod = place.form === 'pod' && place.path.length === 0 ? object : podAt(object, place, namespaceOf(object));
    const known = withoutParameters(pod, place);
    if (known !== pod && !hasContainers(known)) return [];
    return [{ title: places.length === 1 ? title : `${title} ${fieldOf(place.path)}`, pod: known }];
  });
}

function hasContainers({ spec }: JsonObject): boolean {
  return (
    isObject(spec) && Object.entries(spec).some(([key, list]) => CONTAINER_LISTS.includes(key) && isNotEmpty(list))
  );
}

function isNotEmpty(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0;
}

/** An AdmissionRequest as found in audit logs, without the surrounding review. */
function isRequest(object: JsonObject): boolean {
  return typeof object['uid'] === 'string' && typeof object['operation'] === 'string' && isObject(object['object']);
}

/** The same Pod in the given namespace. */
export function withNamespace({ title, pod }: PodInFile, namespace: string): PodInFile {
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  return { title, pod: { ...pod, metadata: { ...metadata, namespace } } };
}
