import { pathToFileURL } from 'node:url';
import { search } from 'jmespath';
import { imagesAnswer } from '../../extension-service/src/core/decide/answer.js';
import { decide } from '../../extension-service/src/core/decide/decide.js';
import { parseAdmissionRequest } from '../../extension-service/src/server/admission-request.js';
import type { AdmissionRequest } from '../../extension-service/src/server/admission.js';
import { awsConfig } from '../unit/naming/targets.js';
import { ociTarget, rulesOf } from '../unit/decide/rules-of.js';
import { EXPRESSIONS } from './filters.js';
import { measure } from './measure.js';
import { benchPod } from './pod.js';

const ROUNDS = 10_000;
const TARGET_MICROSECONDS = 150;
const MATCHES = ["starts_with(obj.metadata.namespace, 'eu-')", "obj.metadata.labels.tier == 'backend'"];
const IMAGES = [
  'nginx:1.27',
  'quay.io/prometheus/node-exporter:v1.8.2',
  'ghcr.io/team/app@sha256:',
  'registry.k8s.io/pause:3.10',
];

/**
 * Decides a Pod with 4 containers without any I/O: 10 filters that do not match, 3 targets of which the last one
 * matches the images, the names, and the response text. For comparison, it also measures `jmespath.search` over the
 * same expressions, and parsing the request's JSON, which every webhook has to do.
 */
export async function run(): Promise<void> {
  const rules = rulesOf(
    {
      targets: [
        { ...awsConfig({}, 'eu'), match: MATCHES[0] ?? '' },
        { ...ociTarget('harbor.example.com', { match: MATCHES[1] ?? '' }), name: 'harbor' },
      ],
      target: ociTarget('mirror.test', { prefix: 'team' }),
    },
    ...EXPRESSIONS,
  );
  const object = benchPod((n) => `${IMAGES[n] ?? 'nginx'}${IMAGES[n]?.endsWith(':') === true ? 'a'.repeat(64) : ''}`);
  const text = JSON.stringify({ uid: 'u', operation: 'CREATE', namespace: 'team-a', object });
  const request = requestOf(text);
  const answer = (input: AdmissionRequest): string => {
    const swaps = decide(rules, input).flatMap((decision) =>
      decision.action === 'mirror' ? [{ container: decision.container, image: decision.reference.text }] : [],
    );
    return JSON.stringify(imagesAnswer(swaps));
  };
  if ((JSON.parse(answer(request)) as { patches: unknown[] }).patches.length !== 4) {
    throw new Error('each of the four images of this benchmark is to be swapped');
  }
  const deciding = measure(ROUNDS, () => answer(request));
  const withParsing = measure(ROUNDS, () => answer(requestOf(text)));
  const contexts = (['containers', 'initContainers'] as const).flatMap((list) => {
    const { spec } = request.pod as { readonly spec: Record<string, readonly object[]> };
    return (spec[list] ?? []).map((container) => ({ obj: request.pod, container }));
  });
  const theirs = measure(ROUNDS / 20, () => {
    for (const context of contexts) for (const expression of [...EXPRESSIONS, ...MATCHES]) search(context, expression);
  });
  console.table({
    'decide and answer': { 'µs per Pod': Number(deciding.toFixed(1)) },
    'the same from the JSON text': { 'µs per Pod': Number(withParsing.toFixed(1)) },
    'jmespath.search of the same expressions': { 'µs per Pod': Number(theirs.toFixed(1)) },
  });
  console.log(
    `jmespath.search / decide ${(theirs / deciding).toFixed(1)}; target ${TARGET_MICROSECONDS} µs per Pod: ${deciding < TARGET_MICROSECONDS ? 'met' : 'MISSED'}`,
  );
}

function requestOf(text: string): AdmissionRequest {
  const request = parseAdmissionRequest(JSON.parse(text));
  if (request === undefined) throw new Error('the request of this benchmark has no Pod');
  return request;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run();
}
