import { describe, expect, it } from 'vitest';
import type { PodContainer } from '../../../extension-service/src/core/decide/pod.js';
import type { AdmissionRequest, AdmissionResult } from '../../../extension-service/src/server/admission.js';
import { BadRequestError } from '../../../extension-service/src/server/admission-request.js';
import type { Answer } from '../../../extension-service/src/server/answer.js';
import { answerGatekeeper } from '../../../extension-service/src/server/gatekeeper.js';
import { answerKyverno } from '../../../extension-service/src/server/kyverno.js';
import { answerWebhook } from '../../../extension-service/src/server/webhook.js';

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'team-a' },
  spec: {
    initContainers: [{ name: 'init', image: 'busybox' }],
    containers: [
      { name: 'app', image: 'nginx:1.27' },
      { name: 'kept', image: 'mirror.test/x:1' },
    ],
  },
};
const REQUEST = {
  uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  operation: 'CREATE',
  namespace: 'team-a',
  object: POD,
};

const container = (list: PodContainer['list'], index: number, name: string, image: string): PodContainer => ({
  list,
  index,
  name,
  image,
  object: { name, image },
});

/** A reviewer that swaps every container to mirror.test and records its requests. */
function reviewer(more: Partial<AdmissionResult> = {}) {
  const requests: AdmissionRequest[] = [];
  return {
    requests,
    review: async (request: AdmissionRequest): Promise<AdmissionResult> => {
      requests.push(request);
      return {
        containers: [],
        swaps: [
          {
            container: container('initContainers', 0, 'init', 'busybox'),
            image: 'mirror.test/docker.io/library/busybox:latest',
          },
          {
            container: container('containers', 0, 'app', 'nginx:1.27'),
            image: 'mirror.test/docker.io/library/nginx:1.27',
          },
          { container: container('containers', 1, 'kept', 'mirror.test/x:1'), image: 'mirror.test/x:1' },
        ],
        ...more,
      };
    },
  };
}

const PATCHES = [
  { op: 'replace', path: '/spec/initContainers/0/image', value: 'mirror.test/docker.io/library/busybox:latest' },
  { op: 'replace', path: '/spec/containers/0/image', value: 'mirror.test/docker.io/library/nginx:1.27' },
];
const DENIED: Partial<AdmissionResult> = {
  swaps: [],
  denied: { kind: 'container', container: 'app', reason: 'absent', message: 'nginx:1.27: not found', status: 502 },
};

const body = (answer: Answer): unknown => JSON.parse(answer.body) as unknown;

describe('POST /v1/kyverno', () => {
  it.each([
    ['an object, as a MutatingPolicy sends it', REQUEST, false],
    ['a JSON string, as a ClusterPolicy sends it', JSON.stringify(REQUEST), true],
  ])('accepts the request as %s', async (_name, request, close) => {
    const { review, requests } = reviewer();
    const answer = await answerKyverno(JSON.stringify({ request }), review);
    expect(answer).toMatchObject({ status: 200, close });
    expect(body(answer)).toEqual({
      images: {
        initContainers: { init: 'mirror.test/docker.io/library/busybox:latest' },
        containers: { app: 'mirror.test/docker.io/library/nginx:1.27' },
      },
      patches: PATCHES,
    });
    expect(requests[0]).toMatchObject({ uid: REQUEST.uid, namespace: 'team-a', operation: 'CREATE', dryRun: false });
  });

  it('answers empty forms when nothing changes', async () => {
    const answer = await answerKyverno(JSON.stringify({ request: REQUEST }), reviewer({ swaps: [] }).review);
    expect(body(answer)).toEqual({ images: {}, patches: [] });
  });

  it('reads fields from the Pod that the Kyverno command line omits', async () => {
    const { review, requests } = reviewer();
    await answerKyverno(JSON.stringify({ request: { object: POD } }), review);
    expect(requests[0]).toMatchObject({ operation: 'CREATE', namespace: 'team-a', uid: '', dryRun: false });
  });

  it('forwards dry runs and old objects', async () => {
    const { review, requests } = reviewer();
    const update = { ...REQUEST, operation: 'UPDATE', oldObject: POD, dryRun: true };
    await answerKyverno(JSON.stringify({ request: update }), review);
    expect(requests[0]).toMatchObject({ operation: 'UPDATE', dryRun: true, oldPod: POD });
  });

  it('answers 5xx with the reason when a failed copy refuses the Pod', async () => {
    const answer = await answerKyverno(JSON.stringify({ request: REQUEST }), reviewer(DENIED).review);
    expect(answer.status).toBe(502);
    expect(body(answer)).toEqual({ error: { code: 'copy_failed', message: 'container app: nginx:1.27: not found' } });
  });

  it('keeps container names that are special in JavaScript', async () => {
    const swaps = [
      { container: container('containers', 0, '__proto__', 'a'), image: 'mirror.test/docker.io/library/a:latest' },
    ];
    const answer = await answerKyverno(JSON.stringify({ request: REQUEST }), reviewer({ swaps }).review);
    expect(answer.body).toContain('"images":{"containers":{"__proto__":"mirror.test/docker.io/library/a:latest"}}');
  });

  it('has no advice for a deletion', async () => {
    const { review, requests } = reviewer();
    const answer = await answerKyverno(
      JSON.stringify({ request: { ...REQUEST, operation: 'DELETE', object: null } }),
      review,
    );
    expect(body(answer)).toEqual({ images: {}, patches: [] });
    expect(requests).toEqual([]);
  });

  it.each([
    ['text', 'hello', 'invalid_json', 'the body is not JSON'],
    ['nothing', '', 'invalid_json', 'the body is not JSON'],
    ['an array', '[]', 'invalid_request', 'the body has no "request"'],
    ['null', 'null', 'invalid_request', 'the body has no "request"'],
    ['no request', '{}', 'invalid_request', 'the body has no "request"'],
    ['a request that is not JSON', '{"request":"x"}', 'invalid_json', 'request is not JSON'],
    ['a request that is a number', '{"request":1}', 'invalid_request', 'request is not an AdmissionRequest'],
    ['no object', '{"request":{}}', 'invalid_request', 'request.object is missing'],
    [
      'another kind',
      JSON.stringify({ request: { ...REQUEST, kind: { kind: 'Deployment' } } }),
      'wrong_kind',
      'kind Deployment',
    ],
    [
      'no containers',
      '{"request":{"object":{"kind":"Pod","spec":{}}}}',
      'invalid_request',
      'spec.containers is missing',
    ],
    ['empty containers', '{"request":{"object":{"spec":{"containers":[]}}}}', 'invalid_request', 'missing or empty'],
    [
      'containers that are not a list',
      '{"request":{"object":{"spec":{"containers":{}}}}}',
      'invalid_request',
      'missing or empty',
    ],
  ])('refuses %s with a code and a sentence', async (_name, text, code, message) => {
    const refused = await answerKyverno(text, reviewer().review).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BadRequestError);
    expect(refused).toMatchObject({ code, message: expect.stringContaining(message) as unknown });
  });
});

describe('POST /webhook', () => {
  const reviewOf = (apiVersion: string, request: unknown = REQUEST) =>
    JSON.stringify({ apiVersion, kind: 'AdmissionReview', request });

  it.each(['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'])(
    'answers an AdmissionReview of %s in its version',
    async (version) => {
      const answer = body(await answerWebhook(reviewOf(version), reviewer().review)) as {
        response: { patch: string };
      };
      expect(answer).toMatchObject({
        apiVersion: version,
        kind: 'AdmissionReview',
        response: { uid: REQUEST.uid, allowed: true, patchType: 'JSONPatch' },
      });
      expect(JSON.parse(Buffer.from(answer.response.patch, 'base64').toString())).toEqual(PATCHES);
    },
  );

  it('allows without a patch when nothing changes', async () => {
    const answer = await answerWebhook(reviewOf('admission.k8s.io/v1'), reviewer({ swaps: [] }).review);
    expect(body(answer)).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: REQUEST.uid, allowed: true },
    });
  });

  it('refuses the Pod only after a failed copy under imageCopyFailure: deny', async () => {
    const answer = await answerWebhook(reviewOf('admission.k8s.io/v1'), reviewer(DENIED).review);
    expect(body(answer)).toMatchObject({
      response: { allowed: false, status: { message: 'image-swapper: container app: nginx:1.27: not found' } },
    });
  });

  it.each([
    ['another kind', { ...REQUEST, kind: { kind: 'Service' } }, 'kind Service'],
    ['no object', { uid: REQUEST.uid, operation: 'CREATE' }, 'request.object is missing'],
  ])('allows %s unchanged, with a warning that kubectl shows', async (_name, request, warning) => {
    const answer = body(await answerWebhook(reviewOf('admission.k8s.io/v1', request), reviewer().review));
    expect(answer).toMatchObject({
      response: { allowed: true, uid: REQUEST.uid, warnings: [expect.stringContaining(warning) as unknown] },
    });
    expect(answer).not.toHaveProperty('response.patch');
  });

  it.each(['{}', '[]', '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2"}'])(
    'does not accept %s',
    async (text) => {
      await expect(answerWebhook(text, reviewer().review)).rejects.toThrow(/not an AdmissionReview/);
    },
  );
});

describe('POST /v1/gatekeeper', () => {
  const ask = (keys: unknown) =>
    JSON.stringify({ apiVersion: 'externaldata.gatekeeper.sh/v1beta1', kind: 'ProviderRequest', request: { keys } });

  it('answers every key, byte for byte, and is idempotent', async () => {
    const answer = await answerGatekeeper(ask(['nginx', '', 'a b', 'x']), async (images) =>
      images.map((image) => (image === 'nginx' ? 'mirror.test/docker.io/library/nginx:latest' : image)),
    );
    expect(body(answer)).toEqual({
      apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
      kind: 'ProviderResponse',
      response: {
        idempotent: true,
        systemError: '',
        items: [
          { key: 'nginx', value: 'mirror.test/docker.io/library/nginx:latest' },
          { key: '', value: '' },
          { key: 'a b', value: 'a b' },
          { key: 'x', value: 'x' },
        ],
      },
    });
  });

  it('keeps all images when the service fails', async () => {
    const answer = await answerGatekeeper(ask(['nginx']), () => Promise.reject(new Error('boom')));
    expect(body(answer)).toMatchObject({ response: { items: [{ key: 'nginx', value: 'nginx' }] } });
  });

  it.each(['{}', ask('nginx'), ask([1]), ask({})])('does not accept %s', async (text) => {
    await expect(answerGatekeeper(text, async (images) => images)).rejects.toThrow(/ProviderRequest/);
  });

  it.each([null, undefined, []])('answers no keys (%j) with no items', async (keys) => {
    const answer = await answerGatekeeper(ask(keys), async (images) => images);
    expect(answer.status).toBe(200);
    expect(body(answer)).toEqual({
      apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
      kind: 'ProviderResponse',
      response: { idempotent: true, systemError: '', items: [] },
    });
  });

  it.each([
    [1_000, 'y'],
    [1_001, 'x'],
  ])('checks no image of a list of %i if it is too long', async (length, value) => {
    const answer = await answerGatekeeper(ask(Array.from({ length }, () => 'x')), async (images) =>
      images.map(() => 'y'),
    );
    const { items } = (body(answer) as { response: { items: unknown[] } }).response;
    expect(items).toHaveLength(length);
    expect(items.at(-1)).toEqual({ key: 'x', value });
  });
});

/** Guarantees of the design for every response to Kyverno. */
describe('answers', () => {
  it('never contain statusCode, body or template braces', async () => {
    const answers = [
      await answerKyverno(JSON.stringify({ request: REQUEST }), reviewer().review),
      await answerKyverno(JSON.stringify({ request: REQUEST }), reviewer(DENIED).review),
    ];
    for (const answer of answers) {
      expect(Object.keys(body(answer) as object)).not.toContain('statusCode');
      expect(Object.keys(body(answer) as object)).not.toContain('body');
      expect(answer.body).not.toContain('{{');
    }
  });
});
