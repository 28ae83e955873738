import { expect } from 'vitest';
import { imagesAnswer } from '../../../extension-service/src/core/decide/answer.js';
import { decide } from '../../../extension-service/src/core/decide/decide.js';
import type { ContainerDecision } from '../../../extension-service/src/core/decide/decide.js';
import { explainDecisions } from '../../../extension-service/src/core/decide/explain.js';
import { imagePlace, imagePointer } from '../../../extension-service/src/core/decide/image-places.js';
import { podContainers } from '../../../extension-service/src/core/decide/pod.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import type { Rules } from '../../../extension-service/src/core/decide/rules.js';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import type { AdmissionRequest } from '../../../extension-service/src/server/admission.js';
import { BadRequestError, parseAdmissionRequest } from '../../../extension-service/src/server/admission-request.js';
import { registryTakes } from '../naming/invariants.js';
import { awsConfig, gcpConfig } from '../naming/targets.js';
import { ociTarget, rulesOf } from './rules-of.js';

/**
 * Several configurations of the service. The filters read only the container itself and the Pod's metadata. A filter
 * that reads the images of other containers may give a different result after those images are swapped.
 */
export const everyRules: readonly Rules[] = [
  rulesOf(),
  rulesOf(
    { target: ociTarget('mirror.test', { prefix: 'team' }) },
    "obj.metadata.namespace == 'kube-system'",
    "contains(container.image, ':1')",
    'obj.metadata.labels.team',
  ),
  rulesOf({
    target: gcpConfig(),
    targets: [
      { ...awsConfig({}, 'eu'), match: "starts_with(obj.metadata.namespace, 'eu-')" },
      { ...ociTarget('mirror.test', { prefix: 'team', match: "contains(container.image, 'quay.io')" }), name: 'quay' },
    ],
  }),
  rulesOf({
    targets: [
      { ...awsConfig({ prefix: 'mirror' }, 'labelled'), match: "obj.metadata.labels.team == 'eu'" },
      { ...ociTarget('mirror.test', { match: 'length(obj.metadata.labels)' }), name: 'never' },
      { ...ociTarget('mirror.test', { prefix: 'team', match: 'abs(container.name) > `1`' }), name: 'fails' },
    ],
    target: gcpConfig({ repositoryId: 'mirror2' }),
  }),
];

/** Maps each host and repository in a target to its source. */
export type Owners = Map<string, string>;

export interface Checked {
  readonly refused: boolean;
  readonly swapped: number;
}

/**
 * Checks the invariants of every request. Only BadRequestError is thrown. Only images change, each to the same image in
 * a configured target. A decision about the swapped Pod changes nothing. No two sources have the same repository in a
 * target.
 */
export function checkRequest(rules: Rules, text: string, owners: Owners): Checked {
  const request = parsed(text);
  if (request === undefined) return { refused: true, swapped: 0 };
  const before = JSON.stringify(request.pod);
  const decisions = decide(rules, request);
  if (JSON.stringify(request.pod) !== before) expect.fail('deciding changed the Pod');
  const mirrors = decisions.filter((decision) => decision.action === 'mirror');
  const answer = imagesAnswer(mirrors.map(({ container, reference }) => ({ container, image: reference.text })));
  if (JSON.stringify(answer).includes('{{')) expect.fail(`braces in ${JSON.stringify(answer)}`);
  for (const { source, target, reference } of mirrors) {
    const { registry, repository } = reference;
    if (registry !== target.naming.host || !registryTakes(target.naming, repository)) {
      expect.fail(`${reference.text} cannot be in ${target.config.name}`);
    }
    const inTarget = parseReference(reference.text);
    if (inTarget.digest !== source.digest) expect.fail(`${reference.text} is another image`);
    if (source.digest === undefined && inTarget.tag !== source.tag) expect.fail(`${reference.text} is another image`);
    const place = `${registry}/${repository}`;
    const owner = `${source.registry}/${source.repository}`;
    const other = owners.get(place);
    if (other !== undefined && other !== owner) expect.fail(`${place} is for ${other} and for ${owner}`);
    owners.set(place, owner);
  }
  checkSwapped(rules, request, decisions, answer.patches);
  return { refused: false, swapped: answer.patches.length };
}

function checkSwapped(
  rules: Rules,
  request: AdmissionRequest,
  decisions: readonly ContainerDecision[],
  patches: ReturnType<typeof imagesAnswer>['patches'],
): void {
  const pod = JSON.parse(JSON.stringify(request.pod)) as JsonObject;
  for (const { path, value } of patches) replaceImage(pod, path, value);
  const swapped = structuredClone(pod);
  const after = podContainers(swapped);
  podContainers(request.pod).forEach((container, index) => {
    const { image } = after[index] ?? {};
    const decision = decisions[index];
    const expected = decision?.action === 'mirror' ? decision.reference.text : container.image;
    if (image !== expected) expect.fail(`${container.image} became ${JSON.stringify(image)}`);
    replaceImage(pod, imagePointer(imagePlace(container.list), container.index), container.image);
  });
  if (JSON.stringify(pod) !== JSON.stringify(request.pod)) expect.fail('more than images changed');
  for (const again of decide(rules, { ...request, pod: swapped })) {
    if (again.action === 'mirror') expect.fail(`${again.container.image} would be swapped again`);
  }
}

/** Checks that an explanation agrees with the decision. This costs more than {@link checkRequest}. */
export function checkExplained(rules: Rules, text: string): void {
  const request = parsed(text);
  if (request === undefined) return;
  const decided = decide(rules, request);
  const explained = explainDecisions(rules, request);
  expect(explained.map(({ decision }) => decision)).toEqual(decided);
  for (const { decision, explanation } of explained) {
    expect(explanation.action).toBe(decision.action);
    if (decision.action === 'keep') expect(explanation.reason).toBe(decision.reason);
    else expect(explanation.reference).toBe(decision.reference.text);
  }
}

function parsed(text: string): AdmissionRequest | undefined {
  try {
    return parseAdmissionRequest(JSON.parse(text));
  } catch (error) {
    if (error instanceof BadRequestError) return undefined;
    throw error;
  }
}

/** Applies one operation of a JSON patch as the API server does. */
function replaceImage(pod: JsonObject, path: string, image: string): void {
  const keys = path.split('/').slice(1);
  const last = keys.pop() ?? '';
  if (!/^\/spec\/(\w+)\/(\d+)\/image(\/reference)?$/.test(path)) expect.fail(`${path} is not an image`);
  const parent = keys.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], pod);
  if (typeof (parent as Record<string, unknown>)[last] !== 'string') expect.fail(`${path} leads nowhere`);
  (parent as Record<string, unknown>)[last] = image;
}
