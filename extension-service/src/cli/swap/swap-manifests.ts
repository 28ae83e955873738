import { isDeepStrictEqual } from 'node:util';
import type { PodsConfig } from '../../core/config/model.js';
import type { Swap } from '../../core/decide/answer.js';
import { decide } from '../../core/decide/decide.js';
import type { ContainerDecision, Mirror } from '../../core/decide/decide.js';
import { podAdditions, additionPatches } from '../../core/decide/pod-additions.js';
import type { PodAdditions } from '../../core/decide/pod-additions.js';
import type { Rules } from '../../core/decide/rules.js';
import { CliError, EXIT } from '../exit.js';
import { parseManifests } from '../manifest-documents.js';
import type { ManifestDocuments } from '../manifest-documents.js';
import { additionEdits } from './addition-edits.js';
import { DocumentNodes } from './document-nodes.js';
import { imageEdits, SharedAnchorError } from './image-edits.js';
import type { WantedImage } from './image-edits.js';
import { imagePathOf, podsOf, podsOfDocuments } from './manifest-pods.js';
import type { DocumentPods, ManifestPod } from './manifest-pods.js';
import { patched } from './patched.js';
import { isResourceList, resultEdits } from './resource-list.js';
import { isUnchangedElsewhere } from './unchanged-elsewhere.js';
import { isParameter } from '../pod-view.js';
import type { ObjectPath } from '../pods-of-object.js';
import { unknownContainers, unknownNote } from '../unknown-containers.js';
import { applyEdits, OverlapError } from './text-edits.js';
import type { TextEdit } from './text-edits.js';

export interface SwapOptions {
  /** For messages. */
  readonly file: string;
  readonly rules: Rules;
  readonly pods: PodsConfig;
  /** For objects without one. */
  readonly namespace: string;
  /** Whether to swap a decided image now; a text is the problem that keeps the image. */
  readonly isWanted: (mirror: Mirror) => Promise<boolean | string>;
}

export interface SwappedManifests {
  readonly text: string;
  /** `file:line:column: …` of images that could not be decided. */
  readonly problems: readonly string[];
  /** `file:line:column: …` of images that were not looked at. */
  readonly notes: readonly string[];
}

/**
 * The same manifests with the images that their Pods would get at admission. Everything else stays byte for byte; a
 * second pass changes nothing.
 *
 * @throws CliError with `file:line:column` if the text is not YAML, or an edit would change more than images
 */
export async function swapManifests(source: string, options: SwapOptions): Promise<SwappedManifests> {
  // The library does not count the byte order mark in its offsets.
  const byteOrderMark = source.startsWith('\uFEFF') ? '\uFEFF' : '';
  const manifests = parseManifests(source.slice(byteOrderMark.length), options.file);
  const problems: string[] = [];
  const notes: string[] = [];
  const planned: PlannedDocument[] = [];
  const edits: TextEdit[] = [];
  for (const document of podsOfDocuments(manifests, options.namespace)) {
    const unknown = unknownContainers(document.value);
    if (document.pods.length === 0 && unknown.length === 0) continue;
    const nodes = new DocumentNodes(document.document);
    const placeOf = (path: ObjectPath): string => manifests.place(nodes.at(path)?.range?.[0] ?? 0);
    notes.push(...unknown.map((one) => `${placeOf(one.path)}: ${unknownNote(one)}`));
    const pods: PlannedPod[] = [];
    for (const pod of document.pods) {
      const { plan, failures } = await planPod(pod, options);
      pods.push(plan);
      problems.push(
        ...failures.map(({ decision, message }) => `${placeOf(imagePathOf(pod, decision.container))}: ${message}`),
      );
    }
    if (pods.every(({ swaps }) => swaps.length === 0)) continue;
    planned.push({ ...document, plans: pods });
    edits.push(...editsOf({ ...document, plans: pods }, nodes, manifests));
  }
  if (edits.length === 0) return { text: source, problems, notes };
  const text = edited(manifests, edits);
  verify(text, manifests, planned, options);
  return { text: byteOrderMark + text, problems, notes };
}

interface PlannedPod {
  readonly pod: ManifestPod;
  readonly images: readonly WantedImage[];
  readonly swaps: readonly Swap[];
  readonly additions: PodAdditions;
}

interface PlannedDocument extends DocumentPods {
  readonly plans: readonly PlannedPod[];
}

interface Failure {
  readonly decision: ContainerDecision;
  readonly message: string;
}

async function planPod(
  pod: ManifestPod,
  { rules, pods, isWanted }: SwapOptions,
): Promise<{ readonly plan: PlannedPod; readonly failures: readonly Failure[] }> {
  const input = { pod: pod.pod, namespace: pod.namespace, operation: 'CREATE' };
  const swaps: Swap[] = [];
  const images: WantedImage[] = [];
  const failures: Failure[] = [];
  for (const decision of decide(rules, input)) {
    const { container } = decision;
    const wanted = decision.action === 'mirror' && (await isWanted(decision));
    if (typeof wanted === 'string') failures.push({ decision, message: wanted });
    const isFilledIn = isParameter(pod.place, container.image);
    if (decision.action === 'keep' && decision.reason === 'invalid-image' && !isFilledIn)
      failures.push({ decision, message: decision.detail });
    const after = decision.action === 'mirror' && wanted === true ? decision.reference.text : container.image;
    if (after !== container.image) swaps.push({ container, image: after });
    images.push({ path: imagePathOf(pod, container), before: container.image, after });
  }
  // Only a Pod template has a place for what is added.
  const additions = pod.place.form === 'pod' ? podAdditions(pods, input, swaps) : {};
  return { plan: { pod, images, swaps, additions }, failures };
}

function editsOf(document: PlannedDocument, nodes: DocumentNodes, { text, place }: ManifestDocuments): TextEdit[] {
  const { plans, value } = document;
  try {
    const images = plans.flatMap((plan) => plan.images);
    return [
      ...imageEdits(nodes, text, images),
      ...plans.flatMap(({ pod, additions }) => additionEdits(nodes, text, pod.path, additions)),
      ...(isResourceList(value) ? resultEdits(nodes, text, plans) : []),
    ];
  } catch (error) {
    if (!(error instanceof SharedAnchorError)) throw error;
    throw new CliError(EXIT.usage, `${place(error.offset)}: ${error.message}`);
  }
}

function edited({ text, place }: ManifestDocuments, edits: readonly TextEdit[]): string {
  try {
    return applyEdits(text, edits);
  } catch (error) {
    if (!(error instanceof OverlapError)) throw error;
    throw new CliError(EXIT.usage, `${place(error.offset)}: ${SHARED_MESSAGE}`);
  }
}

const SHARED_MESSAGE = 'anchors or merge keys here share what must differ after the swap; write it out';

/** Parses the edited text again: its Pods must equal the Pods after admission, and nothing else may differ. */
function verify(
  text: string,
  { place, documents: before }: ManifestDocuments,
  planned: readonly PlannedDocument[],
  { file, namespace }: SwapOptions,
): void {
  const after = parseManifests(text, file);
  for (const { document, value, plans } of planned) {
    const changed = after.documents[before.indexOf(document)];
    const found = changed === undefined ? undefined : after.valueOf(changed);
    const pods = podsOf(found, namespace);
    const byPath = new Map(pods.map((pod) => [JSON.stringify(pod.path), pod]));
    const swapped = plans.every(({ pod, swaps, additions }) => {
      const now = byPath.get(JSON.stringify(pod.path));
      if (now === undefined) return false;
      const expected = patched(pod.pod, swaps, additionPatches(pod.pod, additions));
      return isDeepStrictEqual(now.pod, expected);
    });
    const wholePods = plans.flatMap(({ pod }) => (pod.place.form === 'pod' ? [pod.path] : []));
    const pairs = plans.flatMap(({ swaps }) => swaps);
    if (!swapped || !isUnchangedElsewhere(value, found, { swaps: pairs, pods: wholePods }))
      throw new CliError(EXIT.usage, `${place(document.range[0])}: ${SHARED_MESSAGE}`);
  }
}
