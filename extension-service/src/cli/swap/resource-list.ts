import type { Swap } from '../../core/decide/answer.js';
import { isObject, podAnnotations } from '../../core/decide/pod.js';
import { imagePathIn } from '../pod-view.js';
import { fieldOf } from '../unknown-containers.js';
import type { DocumentNodes } from './document-nodes.js';
import type { ManifestPod } from './manifest-pods.js';
import { addToList, asMap } from './structure-edits.js';
import type { TextEdit } from './text-edits.js';

/** The input and output of a KRM function (kustomize, kpt): the KRM Functions Specification, v1. */
export function isResourceList(value: unknown): boolean {
  return (
    isObject(value) &&
    value['kind'] === 'ResourceList' &&
    typeof value['apiVersion'] === 'string' &&
    value['apiVersion'].startsWith('config.kubernetes.io/')
  );
}

interface PodSwaps {
  readonly pod: ManifestPod;
  readonly swaps: readonly Swap[];
}

/** The edits that add a result for each swapped image to `results`. */
export function resultEdits(nodes: DocumentNodes, text: string, pods: readonly PodSwaps[]): readonly TextEdit[] {
  const map = asMap(nodes.at([]));
  const results = pods.flatMap((pod) => pod.swaps.map((swap) => resultOf(pod.pod, swap)));
  if (map === undefined || results.length === 0) return [];
  return [addToList(nodes, { text, map, key: 'results', before: 'items' }, results)];
}

function resultOf(pod: ManifestPod, { container, image }: Swap): object {
  const { object, place } = pod;
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  const { name, namespace } = metadata;
  const annotations = podAnnotations(object);
  const file = annotations['internal.config.kubernetes.io/path'] ?? annotations['config.kubernetes.io/path'];
  const index = Number(
    annotations['internal.config.kubernetes.io/index'] ?? annotations['config.kubernetes.io/index'] ?? Number.NaN,
  );
  return {
    message: `${container.image} is ${image}`,
    severity: 'info',
    resourceRef: { apiVersion: object['apiVersion'], kind: object['kind'], name, namespace },
    field: { path: fieldOf(imagePathIn(place, container)), currentValue: container.image, proposedValue: image },
    ...(typeof file === 'string' && { file: { path: file, ...(Number.isInteger(index) && { index }) } }),
  };
}
