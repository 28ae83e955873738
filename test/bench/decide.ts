import { pathToFileURL } from 'node:url';
import { search } from 'jmespath';
import type { TargetConfig } from '../../extension-service/src/core/config/model.js';
import { imagesAnswer } from '../../extension-service/src/core/decide/answer.js';
import { decide } from '../../extension-service/src/core/decide/decide.js';
import { parseAdmissionRequest } from '../../extension-service/src/server/admission-request.js';
import type { AdmissionRequest } from '../../extension-service/src/server/admission.js';
import { awsConfig } from '../unit/naming/targets.js';
import { ociTarget, rulesOf } from '../unit/decide/rules-of.js';
import { EXPRESSIONS } from './filters.js';
import { measure } from './measure.js';
import { benchPod } from './pod.js';
import { median } from './table.js';

const ROUNDS = 10_000;
const TARGET_MICROSECONDS = 150;
const MATCHES = ["starts_with(obj.metadata.namespace, 'eu-')", "obj.metadata.labels.tier == 'backend'"];
const IMAGES = [
  'nginx:1.27',
  'quay.io/prometheus/node-exporter:v1.8.2',
  'ghcr.io/team/app@sha256:',
  'registry.k8s.io/pause:3.10',
];

/** The paths of a pull-through cache for the four registries of the images. */
const PATHS = {
  'docker.io': 'docker-hub',
  'quay.io': 'quay',
  'ghcr.io': 'github',
  'registry.k8s.io': 'kubernetes',
};
/** Pairs of measurements without and with `paths`, in turns, and rounds of each. */
const PAIRS = 30;
const PAIR_ROUNDS = 2_000;

/**
 * Decides a Pod with 4 containers without any I/O: 10 filters that do not match, 3 targets of which the last one
 * matches the images, the names, and the response text. For comparison, it also measures the same decision with a last
 * target that has `paths`, `jmespath.search` over the same expressions, and parsing the request's JSON, which every
 * webhook has to do.
 */
export async function run(): Promise<void> {
  const object = benchPod((n) => `${IMAGES[n] ?? 'nginx'}${IMAGES[n]?.endsWith(':') === true ? 'a'.repeat(64) : ''}`);
  const text = JSON.stringify({ uid: 'u', operation: 'CREATE', namespace: 'team-a', object });
  const request = requestOf(text);
  const answer = answerer(ociTarget('mirror.test', { prefix: 'team' }), 'mirror.test/team/docker.io/library/nginx');
  const withPaths = answerer(
    ociTarget('mirror.test', { prefix: 'team', paths: PATHS }),
    'mirror.test/team/docker-hub/library/nginx',
  );
  const deciding = measure(ROUNDS, () => answer(request));
  const withParsing = measure(ROUNDS, () => answer(requestOf(text)));
  const pairs = Array.from({ length: PAIRS }, (_, pair) => pairOf(pair, request, answer, withPaths));
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
  const ratios = pairs.map(({ plain, paths }) => paths / plain).sort((a, b) => a - b);
  const [plain, paths] = (['plain', 'paths'] as const).map((key) => median(pairs.map((pair) => pair[key])).toFixed(1));
  console.log(
    `CPU per Pod: ${plain} µs, with paths ${paths} µs; with paths / without: ${median(ratios).toFixed(2)} (median of ${PAIRS} pairs in turns, ${ratios[0]?.toFixed(2)} to ${ratios.at(-1)?.toFixed(2)})`,
  );
  console.log(
    `jmespath.search / decide ${(theirs / deciding).toFixed(1)}; target ${TARGET_MICROSECONDS} µs per Pod: ${deciding < TARGET_MICROSECONDS ? 'met' : 'MISSED'}`,
  );
}

/** Returns what the service does for a Pod whose images go to this target. @throws Error unless it swaps all of them */
function answerer(target: TargetConfig, nginx: string): (input: AdmissionRequest) => string {
  const rules = rulesOf(
    {
      targets: [
        { ...awsConfig({}, 'eu'), match: MATCHES[0] ?? '' },
        { ...ociTarget('harbor.example.com', { match: MATCHES[1] ?? '' }), name: 'harbor' },
      ],
      target,
    },
    ...EXPRESSIONS,
  );
  return (input) => {
    const swaps = decide(rules, input).flatMap((decision) =>
      decision.action === 'mirror' ? [{ container: decision.container, image: decision.reference.text }] : [],
    );
    if (swaps.length !== IMAGES.length || !swaps.some(({ image }) => image === `${nginx}:1.27`)) {
      throw new Error('each of the four images of this benchmark is to be swapped, nginx to its name in the target');
    }
    return JSON.stringify(imagesAnswer(swaps));
  };
}

interface Pair {
  readonly plain: number;
  readonly paths: number;
}

/**
 * Microseconds of CPU for both. Each is the first in every other pair, so that neither gains from the other's warm
 * caches.
 */
function pairOf(
  pair: number,
  request: AdmissionRequest,
  answer: (input: AdmissionRequest) => string,
  withPaths: (input: AdmissionRequest) => string,
): Pair {
  const plain = (): number => measureCpu(() => answer(request));
  const paths = (): number => measureCpu(() => withPaths(request));
  if (pair % 2 === 0) return { plain: plain(), paths: paths() };
  const first = paths();
  return { plain: plain(), paths: first };
}

/** The two differ by less than other processes add to the elapsed time. */
function measureCpu(work: () => void): number {
  const start = process.cpuUsage();
  for (let round = 0; round < PAIR_ROUNDS; round += 1) work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / PAIR_ROUNDS;
}

function requestOf(text: string): AdmissionRequest {
  const request = parseAdmissionRequest(JSON.parse(text));
  if (request === undefined) throw new Error('the request of this benchmark has no Pod');
  return request;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run();
}
