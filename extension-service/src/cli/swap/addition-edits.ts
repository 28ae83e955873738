import type { PodAdditions } from '../../core/decide/pod-additions.js';
import { ORIGINAL_IMAGES_KEY } from '../../core/decide/pod-additions.js';
import type { ObjectPath } from '../pods-of-object.js';
import type { DocumentNodes } from './document-nodes.js';
import { addToList, asMap, setKey } from './structure-edits.js';
import type { TextEdit } from './text-edits.js';

/** The edits that add `pods.pullSecret` and `pods.annotate` to the Pod at the path. */
export function additionEdits(
  nodes: DocumentNodes,
  text: string,
  path: ObjectPath,
  { pullSecret, originalImages }: PodAdditions,
): readonly TextEdit[] {
  const mapAt = (...more: readonly string[]): ReturnType<typeof asMap> =>
    asMap(nodes.resolve(nodes.at([...path, ...more])));
  const edits: TextEdit[] = [];
  const spec = mapAt('spec');
  if (pullSecret !== undefined && spec !== undefined)
    edits.push(addToList(nodes, { text, map: spec, key: 'imagePullSecrets' }, [{ name: pullSecret }]));
  if (originalImages === undefined) return edits;
  const annotation = { [ORIGINAL_IMAGES_KEY]: originalImages };
  const [pod, metadata, annotations] = [mapAt(), mapAt('metadata'), mapAt('metadata', 'annotations')];
  if (annotations !== undefined)
    edits.push(setKey(nodes, { text, map: annotations, key: ORIGINAL_IMAGES_KEY }, originalImages));
  else if (metadata !== undefined) edits.push(setKey(nodes, { text, map: metadata, key: 'annotations' }, annotation));
  else if (pod !== undefined)
    edits.push(setKey(nodes, { text, map: pod, key: 'metadata' }, { annotations: annotation }));
  return edits;
}
