import { parseBoundedJson } from '../json-bounds.js';
import type { PodsConfig } from '../config/model.js';
import type { Swap } from './answer.js';
import { imagePlace } from './image-places.js';
import { imagePullSecretNames, isObject, podAnnotations } from './pod.js';
import type { JsonObject } from './pod.js';

/** Annotation: a JSON map from each swapped container to its original image; volumes as `volumes/NAME`. */
export const ORIGINAL_IMAGES_KEY = 'image-swapper.io/original-images';

const PAIR = '"[A-Za-z0-9./_-]+":"[A-Za-z0-9._:/@+-]+"';
/** The annotation's text that the policies' guards accept, in RE2: only names and references. */
export const ORIGINAL_IMAGES_PATTERN = `^[{]${PAIR}(,${PAIR})*[}]$`;

/** Fields that are added to a swapped Pod in addition to its images (`pods`). */
export interface PodAdditions {
  /** Name of a Secret that is missing in the Pod's `imagePullSecrets`. */
  readonly pullSecret?: string;
  /** Text of the annotation {@link ORIGINAL_IMAGES_KEY}. */
  readonly originalImages?: string;
}

/** Maximum characters of the annotation; all annotations of an object may have 256 KiB. */
const MAX_CHARACTERS = 65_536;

/** The additions for a Pod with these swaps; none for updates, which can only change containers. */
export function podAdditions(
  { pullSecret, annotate }: PodsConfig,
  { pod, operation }: { readonly pod: JsonObject; readonly operation: string },
  swaps: readonly Swap[],
): PodAdditions {
  const changed = swaps.filter(({ container, image }) => image !== container.image);
  if (changed.length === 0 || operation === 'UPDATE') return {};
  const lacks = pullSecret !== undefined && !imagePullSecretNames(pod).includes(pullSecret);
  const originalImages = annotate ? originalsOf(pod, changed) : undefined;
  return { ...(lacks && { pullSecret }), ...(originalImages !== undefined && { originalImages }) };
}

/** The annotation of an earlier pass stays, because that pass saw the original images. */
function originalsOf(pod: JsonObject, swaps: readonly Swap[]): string | undefined {
  const originals = new Map(earlier(podAnnotations(pod)[ORIGINAL_IMAGES_KEY]));
  for (const { container } of swaps) {
    const { list, name, image } = container;
    // The API server rejects such a name after the webhooks; no engine may interpret it as a template.
    if (name === '' || name.includes('{{')) continue;
    originals.set(imagePlace(list).kind === 'container' ? name : `${list}/${name}`, image);
  }
  const text = JSON.stringify(Object.fromEntries(originals));
  return originals.size > 0 && text.length <= MAX_CHARACTERS ? text : undefined;
}

function earlier(text: unknown): [string, string][] {
  if (typeof text !== 'string' || text.length > MAX_CHARACTERS || text.includes('{{')) return [];
  try {
    const value = parseBoundedJson(text);
    if (!isObject(value)) return [];
    return Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  } catch {
    return [];
  }
}

export interface AdditionPatch {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

/** The additions as JSON patches (RFC 6902) of the Pod. */
export function additionPatches(pod: JsonObject, { pullSecret, originalImages }: PodAdditions): AdditionPatch[] {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : undefined;
  const patches: AdditionPatch[] = [];
  if (pullSecret !== undefined) {
    const secret = { name: pullSecret };
    const hasList = Array.isArray(spec['imagePullSecrets']);
    patches.push({
      op: 'add',
      path: `/spec/imagePullSecrets${hasList ? '/-' : ''}`,
      value: hasList ? secret : [secret],
    });
  }
  if (originalImages !== undefined) {
    const annotation = { [ORIGINAL_IMAGES_KEY]: originalImages };
    if (metadata === undefined) patches.push({ op: 'add', path: '/metadata', value: { annotations: annotation } });
    else if (!isObject(metadata['annotations'])) {
      patches.push({ op: 'add', path: '/metadata/annotations', value: annotation });
    } else {
      const key = ORIGINAL_IMAGES_KEY.replace('/', '~1');
      patches.push({ op: 'add', path: `/metadata/annotations/${key}`, value: originalImages });
    }
  }
  return patches;
}
