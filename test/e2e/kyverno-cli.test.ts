import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderKyvernoClusterPolicy } from '../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { DEFAULT_OPERATORS } from '../../extension-service/src/core/decide/operators.js';
import type { PodOptions } from '../../extension-service/src/core/policies/options.js';
import { celString, jmespathString } from '../../extension-service/src/core/policies/literals.js';
import { AdmissionStub, mirrorInto, type StubAnswer } from '../fakes/admission-stub.js';
import { makeCertificates, type Certificates } from '../fakes/certificates.js';
import { goToolsAvailable } from '../tools/tool.js';
import { admitted, KyvernoCli, type ApplyResult, type Pod } from './kyverno.js';

const available = await goToolsAvailable('the generated policies in the real Kyverno engine');
const TARGET = 'registry.example.com/mirror/';
const targets = ['other.example.com:5000/', TARGET];

/** A Pod with texts that an engine would evaluate if it looked for variables in Pods. */
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'team-a', annotations: { note: '{{ request.object }}' } },
  spec: {
    initContainers: [{ name: 'init', image: 'busybox:1' }],
    containers: [
      {
        name: 'a',
        image: 'nginx:1.27',
        args: ['--format={{ .Names }}', '{{ request.operation }}', '{{ request.object }}'],
      },
      { name: 'b', image: 'quay.io/org/app@sha256:0123', command: ['{{', '}}', '`', "'", '"', '\\'] },
    ],
    ephemeralContainers: [{ name: 'debug', image: 'alpine:3' }],
    volumes: [
      { name: 'scratch', emptyDir: {} },
      { name: 'a', image: { reference: 'quay.io/models/llama:3', pullPolicy: 'IfNotPresent' } },
      { name: 'bare', image: {} },
    ],
  },
};

const kinds = [
  { kind: 'MutatingPolicy', render: renderKyvernoMutatingPolicy, form: 'object' },
  { kind: 'ClusterPolicy', render: renderKyvernoClusterPolicy, form: 'text' },
] as const;

describe.skipIf(!available)('generated policies in the real Kyverno engine', () => {
  let kyverno: KyvernoCli;
  let certificates: Certificates;
  let service: AdmissionStub;

  beforeAll(async () => {
    kyverno = await KyvernoCli.build();
    certificates = await makeCertificates({ hosts: ['localhost'] });
    service = await AdmissionStub.start({ answer: mirrorInto(TARGET), tls: certificates });
  });
  afterAll(async () => service?.close());
  beforeEach(() => {
    service.answer = mirrorInto(TARGET);
    service.calls.length = 0;
  });

  /**
   * The policy for the stub over TLS. A ClusterPolicy contains the CA certificate. For a MutatingPolicy, it is in
   * Kyverno's trust store.
   */
  function policyOf(
    { kind, render }: (typeof kinds)[number],
    options: { failClosed?: boolean; url?: string; filters?: readonly string[]; pods?: PodOptions } = {},
  ) {
    const ca = kind === 'ClusterPolicy' ? { caBundle: certificates.ca } : {};
    return render({ url: service.url, targets, ...ca, ...options });
  }
  async function apply(policy: object, options: { pod?: Pod; trusted?: string } = {}): Promise<ApplyResult> {
    return kyverno.apply({ policy, pod, trusted: certificates.ca, ...options });
  }

  describe.each(kinds)('$kind', (entry) => {
    it('replaces the images of all containers, in one call, and nothing else', async () => {
      const result = await apply(policyOf(entry));
      expect(result).toEqual({ error: undefined, pod: mirrored(pod) });
      expect(service.calls).toEqual([
        {
          method: 'POST',
          path: '/v1/kyverno',
          form: entry.form,
          request: expect.objectContaining({ operation: 'CREATE', namespace: 'team-a', object: pod }) as object,
        },
      ]);
    });

    it.each(['a{b', 'a}}', "it's }{ ${x}", 'a $(./note)'])(
      'evaluates a filter on the text %j itself, although it looks like a template',
      async (text) => {
        const quoted = text.replaceAll("'", "\\'");
        const filters = [`obj.metadata.annotations.note == '${quoted}'`, `obj.metadata.annotations."${text}" == 'x'`];
        const policy = policyOf(entry, { failClosed: true, filters });
        const annotated = (annotations: Readonly<Record<string, string>>): Pod => ({
          ...pod,
          metadata: { ...pod.metadata, annotations },
        });
        const alone = annotated({ note: text });
        expect(await apply(policy, { pod: alone })).toEqual({ error: undefined, pod: alone });
        expect(service.calls).toEqual([]);
        const asked = annotated({ note: `${text} ` });
        expect(await apply(policy, { pod: asked })).toEqual({ error: undefined, pod: mirrored(asked) });
        expect(service.calls).toHaveLength(1);
      },
    );

    it('does not change a Pod for which the service returns nothing', async () => {
      service.answer = () => ({ body: { images: {}, patches: [] } });
      expect(await apply(policyOf(entry, { failClosed: true }))).toEqual({ error: undefined, pod });
    });

    it.each([
      ['of an excluded namespace', { ...pod, metadata: { ...pod.metadata, namespace: 'kube-system' } }],
      ["of the service's own namespace", { ...pod, metadata: { ...pod.metadata, namespace: 'image-swapper' } }],
      [
        'that mirrors a static one',
        {
          ...pod,
          metadata: { ...pod.metadata, annotations: { 'kubernetes.io/config.mirror': '{{ request.object }}' } },
        },
      ],
      ['whose images are all in a target', mirrored(pod)],
      [
        'without annotations whose images are in several targets',
        {
          ...pod,
          metadata: { name: 'x', namespace: 'team-a' },
          spec: { containers: [{ name: 'a', image: 'other.example.com:5000/x' }] },
        },
      ],
    ])('makes no call for a Pod %s', async (_which, other) => {
      expect(await apply(policyOf(entry, { failClosed: true }), { pod: other })).toEqual({
        error: undefined,
        pod: other,
      });
      expect(service.calls).toEqual([]);
    });

    describe('with pods.pullSecret and pods.annotate', () => {
      const pods = { pullSecret: 'mirror-login', annotate: true };
      const key = 'image-swapper.io/original-images';
      const bare: Pod = {
        ...pod,
        metadata: { name: 'web', namespace: 'team-a' },
        spec: { containers: [{ name: 'a', image: 'nginx' }] },
      };
      const answer =
        (additions: object): StubAnswer =>
        () => ({
          body: {
            images: { containers: { a: `${TARGET}nginx` } },
            patches: [{ op: 'replace', path: '/spec/containers/0/image', value: `${TARGET}nginx` }],
            pod: additions,
          },
        });

      it.each<[string, Pod, object, readonly object[]]>([
        ['without any', bare, { [key]: '{"a":"nginx"}' }, [{ name: 'mirror-login' }]],
        [
          'with others',
          {
            ...bare,
            metadata: { ...bare.metadata, annotations: { x: 'kept' } },
            spec: { ...bare.spec, imagePullSecrets: [{ name: 'own' }] },
          },
          { x: 'kept', [key]: '{"a":"nginx"}' },
          [{ name: 'own' }, { name: 'mirror-login' }],
        ],
      ])('adds exactly these fields to a Pod %s', async (_, before, annotations, secrets) => {
        service.answer = answer({ pullSecret: 'mirror-login', originalImages: '{"a":"nginx"}' });
        const result = await apply(policyOf(entry, { failClosed: true, pods }), { pod: before });
        expect(result.error).toBeUndefined();
        expect(result.pod?.metadata.annotations).toEqual(annotations);
        const found = result.pod?.spec['imagePullSecrets'] as readonly { readonly name: string }[];
        expect([...found].sort((a, b) => b.name.localeCompare(a.name))).toEqual(secrets);
        expect(result.pod?.spec.containers[0]?.image).toBe(`${TARGET}nginx`);
      });

      it('accepts nothing else from a forged answer, and nothing without the configuration', async () => {
        const swapped: Pod = { ...bare, spec: { containers: [{ name: 'a', image: `${TARGET}nginx` }] } };
        service.answer = answer({ pullSecret: 'other', originalImages: '{"a":"{{ request }}"}', hostNetwork: true });
        expect(await apply(policyOf(entry, { failClosed: true, pods }), { pod: bare })).toEqual({
          error: undefined,
          pod: swapped,
        });
        service.answer = answer({ pullSecret: 'mirror-login', originalImages: '{"a":"nginx"}' });
        expect(await apply(policyOf(entry, { failClosed: true }), { pod: bare })).toEqual({
          error: undefined,
          pod: swapped,
        });
        service.answer = () => ({ body: { images: {}, patches: [] } });
        expect(await apply(policyOf(entry, { failClosed: true, pods }), { pod: bare })).toEqual({
          error: undefined,
          pod: bare,
        });
      });
    });

    it.each<[string, Pod, number]>([
      [
        'of an operator that replaces it',
        { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner('postgresql.cnpg.io/v1', 'Cluster')] } },
        0,
      ],
      [
        'of such an operator by a label',
        { ...pod, metadata: { ...pod.metadata, labels: { application: 'spilo' } } },
        0,
      ],
      [
        'of another owner',
        { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner('apps/v1', 'ReplicaSet')] } },
        1,
      ],
      [
        'that pulls nothing',
        {
          ...pod,
          spec: {
            containers: [{ name: 'a', image: 'nginx', imagePullPolicy: 'Never' }],
            volumes: [{ name: 'v', image: { reference: 'v:1', pullPolicy: 'Never' } }],
          },
        },
        0,
      ],
      [
        'that pulls a volume',
        {
          ...pod,
          spec: {
            containers: [{ name: 'a', image: 'nginx', imagePullPolicy: 'Never' }],
            volumes: [{ name: 'v', image: { reference: 'v:1' } }],
          },
        },
        1,
      ],
    ])('makes the required calls for a Pod %s', async (_, other, calls) => {
      service.answer = () => ({ body: { images: {}, patches: [] } });
      const policy = policyOf(entry, { failClosed: true, pods: { operators: DEFAULT_OPERATORS } });
      expect(await apply(policy, { pod: other })).toEqual({ error: undefined, pod: other });
      expect(service.calls).toHaveLength(calls);
    });

    it('makes the call if one of many images is outside the targets or missing', async () => {
      const [first, ...others] = mirrored(pod).spec.containers;
      const containers = [{ ...first, name: 'a', image: 'registry.example.com/mirror' }, ...others, { name: 'none' }];
      const result = await apply(policyOf(entry), { pod: { ...pod, spec: { containers } } });
      expect(result.pod?.spec.containers.map(({ image }) => image)).toEqual([
        `${TARGET}registry.example.com/mirror`,
        others[0]?.image,
        undefined,
      ]);
      expect(service.calls).toHaveLength(1);
    });

    it('accepts only images in a target from a forged answer', async () => {
      service.answer = forged;
      const result = await apply(policyOf(entry));
      const [a, b] = pod.spec.containers;
      expect(result).toEqual({
        error: undefined,
        pod: { ...pod, spec: { ...pod.spec, containers: [a, { ...b, image: `${TARGET}honest` }] } },
      });
    });

    it('never patches an existing ephemeral container, or anything else in an update', async () => {
      // The conditions that avoid this call are removed, because the patches themselves must be correct.
      const policy = forEphemeralPods(policyOf(entry), { matchConditions: [] });
      const result = await kyverno.apply({ policy, pod, operation: 'UPDATE', trusted: certificates.ca });
      expect(result).toEqual({ error: undefined, pod });
      // A MutatingPolicy calls the service only when it has an image to look up.
      expect(service.calls).toHaveLength(entry.kind === 'ClusterPolicy' ? 1 : 0);
    });

    describe.each([
      { failClosed: false, outcome: 'unchanged' },
      { failClosed: true, outcome: 'refused' },
    ])('with failClosed $failClosed', ({ failClosed, outcome }) => {
      it.each(UNUSABLE_ANSWERS)(`the Pod is ${outcome} when the service answers $what`, async ({ reply, message }) => {
        service.answer = () => reply;
        const policy = policyOf(entry, { failClosed });
        const result = await apply(policy);
        const admission = admitted(policy, result);
        expect(admission === 'refused' ? 'refused' : 'unchanged').toBe(outcome);
        if (typeof admission === 'object') expect(admission).toEqual(pod);
        if (failClosed) expect(result.error).toMatch(message[entry.kind]);
        expect(service.calls).toHaveLength(1);
      });

      it(`the Pod is ${outcome} when the service is down`, async () => {
        const stopped = await AdmissionStub.start({ answer: mirrorInto(TARGET), tls: certificates });
        const { url } = stopped;
        await stopped.close();
        const policy = policyOf(entry, { failClosed, url });
        const result = await apply(policy);
        expect(admitted(policy, result)).toBe(outcome);
        expect(result.error).toMatch(/connection refused/);
      });

      it(`the Pod is ${outcome} when another CA signed the certificate`, async () => {
        const other = await makeCertificates({ hosts: ['localhost'] });
        const impostor = await AdmissionStub.start({ answer: mirrorInto(TARGET), tls: other });
        try {
          const policy = policyOf(entry, { failClosed, url: impostor.url });
          const result = await apply(policy);
          expect(admitted(policy, result)).toBe(outcome);
          expect(result.error).toMatch(/certificate/);
          expect(impostor.calls).toEqual([]);
        } finally {
          await impostor.close();
        }
      });
    });
  });

  it('MutatingPolicy calls a plain listener', async () => {
    const plain = await AdmissionStub.start({ answer: mirrorInto(TARGET) });
    try {
      expect(await apply(renderKyvernoMutatingPolicy({ url: plain.url, targets }))).toEqual({
        error: undefined,
        pod: mirrored(pod),
      });
    } finally {
      await plain.close();
    }
  });

  describe('at an update of ephemeral containers', () => {
    const before = { name: 'old', image: 'old:1' };
    const [added] = pod.spec.ephemeralContainers ?? [];
    // A strategic merge patch puts the new container first.
    const debugged: Pod = { ...pod, spec: { ...pod.spec, ephemeralContainers: added ? [added, before] : [] } };
    const swapped = [{ ...added, image: `${TARGET}${added?.image}` }, before];
    const expected = { error: undefined, pod: { ...pod, spec: { ...pod.spec, ephemeralContainers: swapped } } };

    it('ClusterPolicy patches only the new container', async () => {
      const policy = forEphemeralPods(
        renderKyvernoClusterPolicy({ url: service.url, targets, caBundle: certificates.ca }),
      );
      const values = { 'request.oldObject.spec.ephemeralContainers': [before] };
      expect(await kyverno.apply({ policy, pod: debugged, operation: 'UPDATE', values })).toEqual(expected);
    });

    it('MutatingPolicy patches only the new container', async () => {
      const rendered = renderKyvernoMutatingPolicy({ url: service.url, targets });
      // The command line uses the Pod itself as the old object. The test therefore replaces the variable with the old
      // names.
      const variables = rendered.spec.variables.map((variable) =>
        variable.name === 'oldEphemeralNames' ? { ...variable, expression: '["old"]' } : variable,
      );
      const policy = forEphemeralPods(rendered, { matchConditions: [], variables });
      const result = await kyverno.apply({ policy, pod: debugged, operation: 'UPDATE', trusted: certificates.ca });
      expect(result).toEqual(expected);
    });
  });

  it('ClusterPolicy reads its CA from a ConfigMap', async () => {
    const policy = renderKyvernoClusterPolicy({
      url: service.url,
      targets,
      caConfigMap: { name: 'ca', namespace: 'own' },
    });
    const values = { 'swapperCa.data': { 'ca.crt': certificates.ca } };
    expect(await kyverno.apply({ policy, pod, values })).toEqual({ error: undefined, pod: mirrored(pod) });
  });

  it.each([
    'mutatingpolicy/https',
    'mutatingpolicy/https-fail-closed',
    'clusterpolicy/https',
    'clusterpolicy/https-fail-closed',
  ])('policies/kyverno/%s.yaml works once the address is changed', async (name) => {
    const text = await readFile(new URL(`../../policies/kyverno/${name}.yaml`, import.meta.url), 'utf8');
    const policy = parse(text.replaceAll('https://image-swapper.image-swapper.svc:8443', service.url)) as object;
    const values = { 'swapperCa.data': { 'ca.crt': certificates.ca } };
    const result = await kyverno.apply({ policy, pod, values, trusted: certificates.ca });
    expect(result).toEqual({ error: undefined, pod: mirrored(pod) });
  });

  describe('literals', () => {
    const texts = fc
      .sample(
        fc.string({ unit: fc.constantFrom('"', "'", '\\', '{', '}', '$', '|', ' ', 'a', '/', '?', 'é', '😀') }),
        300,
      )
      .filter((text) => !text.includes('{{'));

    it('are read by Kyverno as the same JMESPath value', async () => {
      const sayable = texts.filter((text) => !text.includes('\\'));
      const literals = sayable.map((text) => jmespathString(text, 'targets'));
      expect(await kyverno.query(`[${literals.join(', ')}]`)).toEqual(sayable);
    });

    it('are read by Kyverno as the same CEL value', async () => {
      const { spec, ...policy } = renderKyvernoMutatingPolicy({ url: service.url, targets });
      const args = texts.map(
        (text) => `JSONPatch{op: "add", path: "/spec/containers/0/args/-", value: ${celString(text, 'targets')}}`,
      );
      const mutations = [{ patchType: 'JSONPatch', jsonPatch: { expression: `[${args.join(', ')}]` } }];
      const empty: Pod = { ...pod, spec: { containers: [{ name: 'a', image: 'nginx', args: ['first'] }] } };
      const result = await apply({ ...policy, spec: { ...spec, mutations } }, { pod: empty });
      expect(result.pod?.spec.containers[0]?.args).toEqual(['first', ...texts]);
    });
  });
});

it.skipIf(!available)("the CRD fixtures are those of the engines' modules", () => {
  const script = fileURLToPath(new URL('../tools/kyverno/crds.mjs', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

/** Invalid responses, and the message that the user gets. */
const noPatches = /Invalid type for: .*expected: .*array/;
const UNUSABLE_ANSWERS = [
  {
    what: '500',
    reply: { status: 500, body: { error: { code: 'internal', message: 'the reason' } } },
    message: { MutatingPolicy: /no usable answer, HTTP status 500/, ClusterPolicy: /HTTP 500 .*the reason/ },
  },
  {
    what: '404 with a whole answer',
    reply: { status: 404, body: { images: { containers: { a: `${TARGET}x` } }, patches: [] } },
    message: { MutatingPolicy: /no usable answer, HTTP status 404/, ClusterPolicy: /HTTP 404/ },
  },
  {
    what: 'HTML',
    reply: { body: '<html>not here</html>' },
    message: { MutatingPolicy: /no usable answer, HTTP status 200/, ClusterPolicy: /<html>/ },
  },
  {
    what: 'null',
    reply: { body: 'null' },
    message: { MutatingPolicy: /no usable answer, HTTP status 200/, ClusterPolicy: noPatches },
  },
  {
    what: 'another object',
    reply: { body: { hello: 'world' } },
    message: { MutatingPolicy: /no usable answer, HTTP status 200/, ClusterPolicy: noPatches },
  },
  {
    what: 'members of other types',
    reply: { body: { images: 'x', patches: 'y' } },
    message: { MutatingPolicy: /no usable answer, HTTP status 200/, ClusterPolicy: noPatches },
  },
];

/** Everything that a compromised service might try. One image is correct. */
const forged: StubAnswer = () => ({
  body: {
    images: {
      containers: { a: 'evil.example.com/x', b: `${TARGET}honest`, more: `${TARGET}x` },
      initContainers: { init: `${TARGET}x {{ request.object }}` },
      ephemeralContainers: { debug: 'registry.example.com/mirrored/x' },
      volumes: { a: 'evil.example.com/x', scratch: `${TARGET}x`, bare: `${TARGET}x`, more: `${TARGET}x` },
    },
    patches: [
      { op: 'replace', path: '/spec/containers/0/image', value: 'evil.example.com/x' },
      { op: 'replace', path: '/spec/containers/1/image', value: `${TARGET}honest`, from: '/spec' },
      { op: 'replace', path: '/spec/initContainers/0/image', value: `${TARGET}x {{ request.object }}` },
      { op: 'replace', path: '/spec/ephemeralContainers/0/image', value: 'registry.example.com/mirrored/x' },
      { op: 'replace', path: '/spec/ephemeralContainers/0/image', value: `x ${TARGET}` },
      { op: 'add', path: '/spec/hostNetwork', value: true },
      { op: 'replace', path: '/spec/containers/0/command', value: `${TARGET}x` },
      { op: 'add', path: '/spec/containers/0/image', value: `${TARGET}x` },
      { op: 'remove', path: '/spec/containers/0/image', value: `${TARGET}x` },
      { op: 'copy', from: '/metadata/name', path: '/spec/containers/0/image', value: `${TARGET}x` },
      { op: 'replace', path: '/spec/containers/-/image', value: `${TARGET}x` },
      { op: 'replace', path: '/spec/x/containers/0/image', value: `${TARGET}x` },
      { op: 'replace', path: '/spec/volumes/0/image', value: `${TARGET}x` },
      { op: 'replace', path: '/spec/volumes/1/image/reference', value: 'evil.example.com/x' },
      { op: 'add', path: '/spec/volumes/0/image/reference', value: `${TARGET}x` },
      { op: 'replace', path: '/spec/volumes/1/image/pullPolicy', value: `${TARGET}x` },
      { op: 'replace', path: '/metadata/image', value: `${TARGET}x` },
      'text',
      7,
      null,
    ],
  },
});

function owner(apiVersion: string, kind: string): object {
  return { apiVersion, kind, name: 'x', uid: 'u', controller: true };
}

function mirrored(original: Pod): Pod {
  const swap = (containers: Pod['spec']['containers'] = []) =>
    containers.map((container) => ({ ...container, image: `${TARGET}${container.image}` }));
  const { containers, initContainers, ephemeralContainers, volumes } = original.spec;
  return {
    ...original,
    spec: {
      ...original.spec,
      containers: swap(containers),
      initContainers: swap(initContainers),
      ephemeralContainers: swap(ephemeralContainers),
      ...(volumes !== undefined && {
        volumes: volumes.map(({ image, ...volume }) => ({
          ...volume,
          ...(image !== undefined && {
            image: { ...image, ...(image.reference !== undefined && { reference: `${TARGET}${image.reference}` }) },
          }),
        })),
      }),
    },
  };
}

/** Kyverno's command line does not support subresource requests. Rules for them are applied to the Pod itself. */
function forEphemeralPods(policy: object, spec: object = {}): object {
  const changed = JSON.parse(
    JSON.stringify(policy)
      .replaceAll('"Pod/ephemeralcontainers"', '"Pod"')
      .replaceAll('"pods/ephemeralcontainers"', '"pods"'),
  ) as { readonly kind: string; readonly spec: object };
  return changed.kind === 'MutatingPolicy' ? { ...changed, spec: { ...changed.spec, ...spec } } : changed;
}
