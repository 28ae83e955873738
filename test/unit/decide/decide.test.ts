import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainDecisions } from '../../../extension-service/src/core/decide/explain.js';
import { imagesAnswer } from '../../../extension-service/src/core/decide/answer.js';
import { decide } from '../../../extension-service/src/core/decide/decide.js';
import type { ContainerDecision, DecisionInput } from '../../../extension-service/src/core/decide/decide.js';
import type { Config, TargetConfig } from '../../../extension-service/src/core/config/model.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { filterObject } from '../../../extension-service/src/core/decide/pod.js';
import { DEFAULT_OPERATORS } from '../../../extension-service/src/core/decide/operators.js';
import { configOf, ociTarget, rulesOf } from './rules-of.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';

const DIGEST = `sha256:${'0123456789ab'.padEnd(64, 'c')}`;

function podOf(images: readonly string[] | JsonObject, metadata: JsonObject = {}): JsonObject {
  const spec = Array.isArray(images)
    ? { containers: (images as string[]).map((image, index) => ({ name: `c${index}`, image })) }
    : (images as JsonObject);
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec };
}

function input(pod: JsonObject, more: Partial<DecisionInput> = {}): DecisionInput {
  return { pod, namespace: 'team-a', operation: 'CREATE', ...more };
}

/** The `reference` of a swapped image, or the `reason` why an image is kept. */
function short(decision: ContainerDecision | undefined): string {
  if (decision === undefined) return 'none';
  return decision.action === 'mirror' ? decision.reference.text : decision.reason;
}

describe('one image', () => {
  it.each([
    ['nginx', 'mirror.test/docker.io/library/nginx:latest'],
    ['nginx:1.27', 'mirror.test/docker.io/library/nginx:1.27'],
    ['bitnami/redis:7', 'mirror.test/docker.io/bitnami/redis:7'],
    ['quay.io/a/b/c:v1', 'mirror.test/quay.io/a/b/c:v1'],
    [`nginx@${DIGEST}`, `mirror.test/docker.io/library/nginx@${DIGEST}`],
    [`nginx:1.27@${DIGEST}`, `mirror.test/docker.io/library/nginx@${DIGEST}`],
    ['mirror.test/docker.io/library/nginx:1.27', 'in-target'],
    ['mirror.test/anything', 'in-target'],
    ['Nginx', 'invalid-image'],
    ['nginx:1.27 ', 'invalid-image'],
    ['http://nginx', 'invalid-image'],
    ['{{ request.object }}', 'invalid-image'],
    ['../../etc/passwd', 'invalid-image'],
  ])('%s -> %s', (image, expected) => {
    const [decision] = decide(rulesOf(), input(podOf([image])));
    expect(short(decision)).toBe(expected);
  });

  it('by digest gets a keeper tag, and its own tag is never moved', () => {
    const [decision] = decide(rulesOf(), input(podOf([`nginx:1.27@${DIGEST}`])));
    expect(decision).toMatchObject({ reference: { digest: DIGEST, published: 'keep-0123456789ab' } });
    expect(decision).not.toHaveProperty('reference.tag');
  });
});

describe('a Pod', () => {
  const three = podOf({
    initContainers: [{ name: 'init', image: 'busybox' }],
    containers: [{ name: 'app', image: 'nginx' }],
    ephemeralContainers: [
      { name: 'debug-old', image: 'alpine' },
      { name: 'debug-new', image: 'alpine' },
    ],
  });

  it('is decided in all three container lists', () => {
    const decisions = decide(rulesOf(), input(three));
    expect(decisions.map(({ container, action }) => `${container.list}/${container.name} ${action}`)).toEqual([
      'containers/app mirror',
      'initContainers/init mirror',
      'ephemeralContainers/debug-old mirror',
      'ephemeralContainers/debug-new mirror',
    ]);
  });

  it('that is updated keeps everything but its new ephemeral containers', () => {
    const oldPod = podOf({
      containers: [{ name: 'app', image: 'nginx' }],
      ephemeralContainers: [{ name: 'debug-old', image: 'alpine' }],
    });
    const decisions = decide(rulesOf(), input(three, { operation: 'UPDATE', oldPod }));
    expect(decisions.map((decision) => `${decision.container.name} ${short(decision)}`)).toEqual([
      'app existing-container',
      'init existing-container',
      'debug-old existing-container',
      'debug-new mirror.test/docker.io/library/alpine:latest',
    ]);
  });

  it.each([
    ['label', { labels: { 'image-swapper.io/skip': 'true' } }, 'opted-out'],
    ['annotation', { annotations: { 'image-swapper.io/skip': 'true' } }, 'opted-out'],
    [
      'label that says false',
      { labels: { 'image-swapper.io/skip': 'false' } },
      'mirror.test/docker.io/library/nginx:latest',
    ],
    ['static Pod', { annotations: { 'kubernetes.io/config.mirror': 'abc' } }, 'static-pod'],
  ])('is excluded or not by its %s', (_name, metadata, expected) => {
    expect(short(decide(rulesOf(), input(podOf(['nginx'], metadata)))[0])).toBe(expected);
  });

  it('opts out single containers by annotation', () => {
    const metadata = { annotations: { 'image-swapper.io/skip-containers': 'c0, c2' } };
    const decisions = decide(rulesOf(), input(podOf(['a', 'b', 'c'], metadata)));
    expect(decisions.map(short)).toEqual(['opted-out', 'mirror.test/docker.io/library/b:latest', 'opted-out']);
  });
});

describe('image volumes', () => {
  const volumes = [
    { name: 'scratch', emptyDir: {} },
    { name: 'app', image: { reference: 'quay.io/models/llama:3', pullPolicy: 'IfNotPresent' } },
    { name: 'bad', image: { reference: 'NOT a ref!!' } },
    { name: 'empty', image: { reference: '' } },
    { name: 'none', image: {} },
    { name: 'odd', image: 'nginx' },
    { name: 'in', image: { reference: 'mirror.test/quay.io/models/llama:3' } },
    null,
  ];
  const both = podOf({ containers: [{ name: 'app', image: 'nginx' }], volumes });
  const modelImage = 'mirror.test/quay.io/models/llama:3';

  it('are decided as containers are; a container of the same name is another image', () => {
    const decisions = decide(rulesOf(), input(both));
    expect(decisions.map((one) => `${one.container.list}/${one.container.name} ${short(one)}`)).toEqual([
      'containers/app mirror.test/docker.io/library/nginx:latest',
      `volumes/app ${modelImage}`,
      'volumes/bad invalid-image',
      'volumes/in in-target',
    ]);
    const swaps = decisions.flatMap((one) =>
      one.action === 'mirror' ? [{ container: one.container, image: one.reference.text }] : [],
    );
    expect(imagesAnswer(swaps)).toEqual({
      images: { containers: { app: 'mirror.test/docker.io/library/nginx:latest' }, volumes: { app: modelImage } },
      patches: [
        { op: 'replace', path: '/spec/containers/0/image', value: 'mirror.test/docker.io/library/nginx:latest' },
        { op: 'replace', path: '/spec/volumes/1/image/reference', value: modelImage },
      ],
    });
  });

  it.each([
    ["container.kind == 'volume'", 'filtered'],
    ["container.kind == 'container'", modelImage],
    ["container.name == 'app'", 'filtered'],
    ["starts_with(container.image, 'quay.io/')", 'filtered'],
    ['container.resources', modelImage],
    ['length(keys(container)) == `3`', 'filtered'],
  ])('have name, image and kind for a filter: %s -> %s', (filter, expected) => {
    const pod = podOf({ volumes: [{ name: 'app', image: { reference: 'quay.io/models/llama:3' } }] });
    expect(short(decide(rulesOf({}, filter), input(pod))[0])).toBe(expected);
  });

  it('are not swapped under source.volumes: false, but containers are', () => {
    const rules = rulesOf({ source: { ...configOf().source, volumes: false } });
    expect(decide(rules, input(both)).map(short).slice(0, 2)).toEqual([
      'mirror.test/docker.io/library/nginx:latest',
      'volumes-off',
    ]);
  });

  it('never change on an update, which the API server would refuse', () => {
    const decisions = decide(rulesOf(), input(both, { operation: 'UPDATE', oldPod: both }));
    expect(decisions.map(short)).toEqual(decisions.map(() => 'existing-container'));
  });

  it('do not count as an ephemeral container of the same name, which is then added', () => {
    const debugged = podOf({ volumes, ephemeralContainers: [{ name: 'app', image: 'busybox' }] });
    const decisions = decide(rulesOf(), input(debugged, { operation: 'UPDATE', oldPod: both }));
    expect(decisions.filter(({ container }) => container.list === 'ephemeralContainers').map(short)).toEqual([
      'mirror.test/docker.io/library/busybox:latest',
    ]);
  });

  it.each([
    ['app', ['opted-out', modelImage]],
    ['volumes/app', ['mirror.test/docker.io/library/nginx:latest', 'opted-out']],
    ['containers/app,volumes/app', ['opted-out', 'opted-out']],
  ])('opt out by their place and name: skip-containers %s', (names, expected) => {
    const metadata = { annotations: { 'image-swapper.io/skip-containers': names } };
    expect(
      decide(rulesOf(), input({ ...both, metadata }))
        .slice(0, 2)
        .map(short),
    ).toEqual(expected);
  });

  it('of several thousand leave the Pod unchanged, and other volumes do not count', () => {
    const many = (volume: (index: number) => JsonObject) =>
      podOf({
        containers: [{ name: 'app', image: 'nginx' }],
        volumes: Array.from({ length: 5_000 }, (_, i) => volume(i)),
      });
    const images = decide(rulesOf(), input(many((i) => ({ name: `v${i}`, image: { reference: `q/i${i}` } }))));
    expect(new Set(images.map(short))).toEqual(new Set(['too-large']));
    expect(images[0]).toMatchObject({
      detail: 'the Pod has 5001 containers and image volumes; more than 500 are not checked',
    });
    const empty = decide(rulesOf(), input(many((i) => ({ name: `v${i}`, emptyDir: {} }))));
    expect(empty.map(short)).toEqual(['mirror.test/docker.io/library/nginx:latest']);
  });
});

describe('a Pod that a swap would break', () => {
  const owned = (apiVersion: string, kind: string) => ({
    ownerReferences: [
      { apiVersion: 'v1', kind: 'Other' },
      { apiVersion, kind, name: 'x', uid: 'u', controller: true },
    ],
  });
  const usual = rulesOf({ source: { ...configOf().source, operators: DEFAULT_OPERATORS } });
  const swapped = 'mirror.test/docker.io/library/nginx:latest';

  it.each<[string, object, string]>([
    ['of CloudNativePG', owned('postgresql.cnpg.io/v1', 'Cluster'), 'operator'],
    ['of any version of it', owned('postgresql.cnpg.io/v2beta1', 'Cluster'), 'operator'],
    ['of NiFiKop', owned('nifi.konpyutaika.com/v1', 'NifiCluster'), 'operator'],
    ['of Aerospike, by its label', { labels: { 'aerospike.com/cr': 'a' } }, 'operator'],
    ["of Zalando's operator, by its label", { labels: { application: 'spilo' } }, 'operator'],
    ['of the Operator Lifecycle Manager', owned('operators.coreos.com/v1alpha1', 'CatalogSource'), 'operator'],
    ['of the Jenkins operator', owned('jenkins.io/v1alpha2', 'Jenkins'), 'operator'],
    ['of Koperator', owned('kafka.banzaicloud.io/v1beta1', 'KafkaCluster'), 'operator'],
    ['of KubeBlocks', owned('workloads.kubeblocks.io/v1', 'InstanceSet'), 'operator'],
    ['of KubeVirt', owned('kubevirt.io/v1', 'VirtualMachineInstance'), 'operator'],
    ['of Longhorn, by its label', { labels: { app: 'longhorn-manager' } }, 'operator'],
    [
      'of Percona Server for MongoDB, by its label',
      { labels: { 'app.kubernetes.io/managed-by': 'percona-server-mongodb-operator' } },
      'operator',
    ],
    ['of a virtual cluster, by its label', { labels: { 'vcluster.loft.sh/managed-by': 'team-a' } }, 'operator'],
    ['of a virtual cluster of k3k', { labels: { 'k3k.io/clusterName': 'team-a' } }, 'operator'],
    [
      'that GKE Autopilot admits by an allowlist',
      { labels: { 'cloud.google.com/matching-allowlist': 'sysdig-agent-v1.1.4' } },
      'operator',
    ],
    ['of another application that a chart manages', { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }, swapped],
    ['of another value of that label', { labels: { application: 'shop' } }, swapped],
    ['of another kind of the group', owned('postgresql.cnpg.io/v1', 'Pooler'), swapped],
    ['of a group with the name at its start', owned('postgresql.cnpg.io.example.com/v1', 'Cluster'), swapped],
    ['of a ReplicaSet', owned('apps/v1', 'ReplicaSet'), swapped],
    ['with owners of other types', { ownerReferences: [null, 5, { apiVersion: 7, kind: 'Cluster' }] }, swapped],
    ['with owners that are not a list', { ownerReferences: 'postgresql.cnpg.io/v1', labels: [] }, swapped],
  ])('%s', (_, metadata, expected) => {
    const pod = podOf(['nginx'], metadata as JsonObject);
    expect(short(decide(usual, input(pod))[0])).toBe(expected);
    // An empty list does not exclude any operator.
    expect(short(decide(rulesOf(), input(pod))[0])).toBe(swapped);
  });

  it('uses a configured list of operators', () => {
    const operators = [{ apiGroup: 'example.com', kind: 'Shop' }];
    const rules = rulesOf({ source: { ...configOf().source, operators } });
    const [decision] = decide(rules, input(podOf(['nginx'], owned('example.com/v1', 'Shop'))));
    expect(decision).toMatchObject({
      reason: 'operator',
      detail: expect.stringContaining('Shop of example.com') as string,
    });
    expect(short(decide(rules, input(podOf(['nginx'], owned('postgresql.cnpg.io/v1', 'Cluster'))))[0])).toBe(swapped);
  });

  it("keeps Istio's placeholder for its proxy, and no other name like it", () => {
    const mirrored = (image: string) => `mirror.test/docker.io/library/${image}`;
    const pod = podOf(['auto', 'auto:1', 'automatic', 'docker.io/library/auto']);
    expect(decide(rulesOf(), input(pod)).map(short)).toEqual([
      'placeholder',
      mirrored('auto:1'),
      mirrored('automatic:latest'),
      mirrored('auto:latest'),
    ]);
  });

  it('keeps containers and volumes that are never pulled', () => {
    const pod = podOf({
      containers: [
        { name: 'a', image: 'nginx', imagePullPolicy: 'Never' },
        { name: 'b', image: 'nginx', imagePullPolicy: 'IfNotPresent' },
      ],
      volumes: [{ name: 'v', image: { reference: 'v:1', pullPolicy: 'Never' } }],
    });
    expect(decide(rulesOf(), input(pod)).map(short)).toEqual(['never-pulled', swapped, 'never-pulled']);
  });

  const affinity = (...terms: object[]) => ({
    affinity: {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
    },
  });
  const term = (key: string, operator: string, ...values: string[]) => ({
    matchExpressions: [{ key, operator, values }],
  });
  it.each<[string, object, string | undefined]>([
    ['nothing', {}, undefined],
    ['a held architecture', { nodeSelector: { 'kubernetes.io/arch': 'amd64' } }, undefined],
    ['another architecture', { nodeSelector: { 'kubernetes.io/arch': 'arm64' } }, '*/arm64'],
    ['it by the old label', { nodeSelector: { 'beta.kubernetes.io/arch': 's390x' } }, '*/s390x'],
    ['Windows, by spec.os', { os: { name: 'windows' } }, 'windows/*'],
    ['Windows, by a label', { nodeSelector: { 'kubernetes.io/os': 'windows' } }, 'windows/*'],
    [
      'held parts that are not held together',
      { os: { name: 'linux' }, nodeSelector: { 'kubernetes.io/arch': 'arm' } },
      'linux/arm',
    ],
    ['a held one by affinity', affinity(term('kubernetes.io/arch', 'In', 'amd64')), undefined],
    ['one of two by affinity', affinity(term('kubernetes.io/arch', 'In', 'amd64', 'arm64')), '*/arm64'],
    [
      'another one in a second term',
      affinity(term('a', 'In', 'b'), term('kubernetes.io/arch', 'In', 'riscv64')),
      '*/riscv64',
    ],
    ['one by exclusion, which says nothing', affinity(term('kubernetes.io/arch', 'NotIn', 'arm64')), undefined],
    [
      'none of those held, by exclusion',
      affinity(term('kubernetes.io/arch', 'NotIn', 'amd64', 'arm')),
      'a platform other than linux/amd64 and darwin/arm',
    ],
    ['another system than one held, by exclusion', affinity(term('kubernetes.io/os', 'NotIn', 'linux')), undefined],
    [
      'none of those held, by exclusion of both labels',
      affinity({
        matchExpressions: [
          { key: 'kubernetes.io/os', operator: 'NotIn', values: ['darwin'] },
          { key: 'beta.kubernetes.io/arch', operator: 'NotIn', values: ['amd64'] },
        ],
      }),
      'a platform other than linux/amd64 and darwin/arm',
    ],
    [
      'exclusions of other types',
      affinity({ matchExpressions: [{ key: 5, operator: 'NotIn', values: [7] }] }),
      undefined,
    ],
    ['values of other types', { os: 7, nodeSelector: [], affinity: { nodeAffinity: 'x' } }, undefined],
    ['terms of other types', affinity(null as never, { matchExpressions: 5 }, { matchExpressions: [null] }), undefined],
  ])('asks for %s', (_, spec, missing) => {
    const pod = podOf({ containers: [{ name: 'a', image: 'nginx' }], ...spec });
    const mirror = { ...configOf().mirror, platforms: ['linux/amd64', 'darwin/arm'] };
    const [decision] = decide(rulesOf({ mirror }), input(pod));
    expect(short(decision)).toBe(missing === undefined ? swapped : 'platform');
    if (missing !== undefined) {
      expect(decision).toMatchObject({
        detail: `the Pod needs ${missing}, but target default holds linux/amd64,darwin/arm`,
      });
    }
    expect(short(decide(rulesOf(), input(pod))[0])).toBe(swapped);
  });
});

describe('filters', () => {
  it.each([
    ["obj.metadata.namespace == 'team-a'", 'filtered'],
    ["obj.metadata.namespace == 'team-b'", 'mirror.test/docker.io/library/nginx:latest'],
    ["contains(container.image, 'ngin')", 'filtered'],
    ["container.name == 'c0'", 'filtered'],
    ['obj.status == `{}` && container.resources == `{}`', 'filtered'],
  ])('%s -> %s', (filter, expected) => {
    expect(short(decide(rulesOf({}, filter), input(podOf(['nginx'])))[0])).toBe(expected);
  });

  it('are decided by the first that is true, which is reported', () => {
    const [decision] = decide(rulesOf({}, "container.name == 'x'", "container.name == 'c0'"), input(podOf(['nginx'])));
    expect(decision).toMatchObject({ reason: 'filtered', detail: "filter 2 matches: container.name == 'c0'" });
  });

  it('end at an error: later filters are not evaluated and the image is mirrored, with a warning', () => {
    const [decision] = decide(
      rulesOf({}, 'length(obj.missing) > `1`', "container.name == 'c0'"),
      input(podOf(['nginx'])),
    );
    expect(decision).toMatchObject({ action: 'mirror', warnings: [{ kind: 'error' }] });
  });

  it('warns about a result that is not boolean, and does not match', () => {
    const [decision] = decide(rulesOf({}, 'container.name'), input(podOf(['nginx'])));
    expect(decision).toMatchObject({ action: 'mirror', warnings: [{ kind: 'not-boolean' }] });
  });

  it("use the request's namespace, whatever the Pod says", () => {
    const rules = rulesOf({}, "obj.metadata.namespace == 'kube-system'");
    const pod = podOf(['nginx'], { namespace: 'kube-system' });
    expect(short(decide(rules, input(pod, { namespace: 'team-a' }))[0])).toContain('mirror.test');
  });
});

describe('several targets', () => {
  const rules = compileRules(
    configOf({
      target: ociTarget('default.test'),
      targets: [
        ociTarget('eu.test', { name: 'eu', match: "starts_with(obj.metadata.namespace, 'eu-')" }),
        ociTarget('quay.test', { name: 'quay', match: "starts_with(container.image, 'quay.io/')" }),
        ociTarget('broken.test', { name: 'broken', match: 'length(obj.missing) > `1`' }),
        ociTarget('label.test', { name: 'label', match: "obj.metadata.labels.tier == 'gold'", prefix: 'gold' }),
      ],
    }),
    namingTarget,
  );

  it.each([
    ['eu-west', 'nginx', {}, 'eu.test/docker.io/library/nginx:latest'],
    ['eu-west', 'quay.io/a/b', {}, 'eu.test/quay.io/a/b:latest'],
    ['us', 'quay.io/a/b', {}, 'quay.test/quay.io/a/b:latest'],
    ['us', 'nginx', { labels: { tier: 'gold' } }, 'label.test/gold/docker.io/library/nginx:latest'],
    ['us', 'nginx', {}, 'default.test/docker.io/library/nginx:latest'],
    ['us', 'eu.test/docker.io/library/nginx', {}, 'in-target'],
    ['eu-west', 'default.test/x', {}, 'in-target'],
  ])('namespace %s, image %s, %j -> %s', (namespace, image, metadata, expected) => {
    expect(short(decide(rules, input(podOf([image], metadata), { namespace }))[0])).toBe(expected);
  });

  it('warns and selects nothing when an expression fails', () => {
    const [decision] = decide(rules, input(podOf(['nginx']), { namespace: 'us' }));
    expect(decision?.warnings).toMatchObject([{ kind: 'error', expression: 'length(obj.missing) > `1`' }]);
  });

  it('without a default target, images without a target stay', () => {
    const { target, ...rest } = configOf({ targets: [ociTarget('eu.test', { name: 'eu', match: '`false`' })] });
    expect(target?.name).toBe('default');
    expect(short(decide(compileRules(rest, namingTarget), input(podOf(['nginx'])))[0])).toBe('no-target');
  });

  it('each has its own policies, or else the general ones', () => {
    const compiled = compileRules(
      configOf({
        imageCopyPolicy: 'immediate',
        targets: [ociTarget('eu.test', { name: 'eu', imageSwapPolicy: 'always', platforms: ['linux/arm64'] })],
      }),
      namingTarget,
    );
    expect(compiled.targets).toMatchObject([
      { swapPolicy: 'always', copyPolicy: 'immediate', platforms: ['linux/arm64'] },
      { swapPolicy: 'exists', copyPolicy: 'immediate', platforms: 'all' },
    ]);
  });
});

describe('any JSON', () => {
  it('never throws and never changes the Pod', () => {
    const rules = rulesOf({}, "obj.metadata.labels.a == 'b'", 'contains(container.image, obj.metadata.name)');
    const entry = fc.oneof(
      fc.jsonValue(),
      fc.record({ name: fc.jsonValue(), image: fc.jsonValue() }, { requiredKeys: [] }),
    );
    const pod = fc.record(
      {
        metadata: fc.oneof(fc.jsonValue(), fc.record({ annotations: fc.jsonValue(), labels: fc.jsonValue() })),
        spec: fc.oneof(
          fc.jsonValue(),
          fc.record(
            { containers: fc.oneof(fc.array(entry), fc.jsonValue()), initContainers: fc.array(entry) },
            { requiredKeys: [] },
          ),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        pod,
        fc.constantFrom('CREATE', 'UPDATE', 'x'),
        fc.option(pod, { nil: undefined }),
        (object, operation, oldPod) => {
          const before = JSON.stringify(object);
          const given = input(object, {
            operation,
            ...(oldPod !== undefined && { oldPod }),
          });
          const swaps = decide(rules, given).flatMap((decision) =>
            decision.action === 'mirror' ? [{ container: decision.container, image: decision.reference.text }] : [],
          );
          expect(JSON.stringify(object)).toBe(before);
          for (const { path, value } of imagesAnswer(swaps).patches) {
            expect(path).toMatch(
              /^\/spec\/((containers|initContainers|ephemeralContainers)\/\d+\/image|volumes\/\d+\/image\/reference)$/,
            );
            expect(value.startsWith('mirror.test/')).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('does not change a swapped Pod in a second decision', () => {
    const rules = rulesOf();
    const images = [
      'nginx',
      'quay.io/a/b:1',
      `docker.io/library/nginx@${DIGEST}`,
      'localhost:5000/x',
      'gcr.io/a/b__c--d',
    ];
    const swapped = decide(rules, input(podOf(images))).map(short);
    expect(decide(rules, input(podOf(swapped))).map(short)).toEqual(images.map(() => 'in-target'));
  });
});

describe('the answer', () => {
  it('contains only changes, by name and as patches', () => {
    const [decision] = decide(rulesOf(), input(podOf(['nginx'])));
    if (decision === undefined) throw new Error('no decision');
    const { container } = decision;
    expect(imagesAnswer([{ container, image: 'mirror.test/x' }])).toEqual({
      images: { containers: { c0: 'mirror.test/x' } },
      patches: [{ op: 'replace', path: '/spec/containers/0/image', value: 'mirror.test/x' }],
    });
    expect(imagesAnswer([{ container, image: container.image }])).toEqual({ images: {}, patches: [] });
  });
});

describe('the input of filters', () => {
  it("is the Pod as k8s-image-swapper marshals it: with the request's namespace, status and resources", () => {
    expect(filterObject(podOf(['nginx']), 'team-a')).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { creationTimestamp: null, namespace: 'team-a' },
      spec: { containers: [{ name: 'c0', image: 'nginx', resources: {} }] },
      status: {},
    });
  });
});

describe('a target with paths', () => {
  const cache = (more: Partial<TargetConfig> = {}): TargetConfig =>
    ociTarget('cache.test', { name: 'cache', paths: { 'docker.io': 'docker-hub', 'quay.io': 'quay' }, ...more });
  const decided = (image: string, targets: readonly TargetConfig[], target?: TargetConfig) => {
    const whole: Config = { ...configOf({ targets }), ...(target !== undefined && { target }) };
    if (target === undefined) delete (whole as { target?: TargetConfig }).target;
    return decide(compileRules(whole, namingTarget), input(podOf([image])))[0];
  };

  it.each([
    ['nginx:1', 'cache.test/docker-hub/library/nginx:1'],
    ['quay.io/a/b:1', 'cache.test/quay/a/b:1'],
    ['ghcr.io/a/b:1', 'mirror.test/ghcr.io/a/b:1'],
    ['cache.test/docker-hub/library/nginx:1', 'in-target'],
    ['cache.test/team/app:1', 'mirror.test/cache.test/team/app:1'],
  ])('accepts images of its registries, and leaves others to the next target: %s', (image, expected) => {
    expect(short(decided(image, [cache()], ociTarget('mirror.test')))).toBe(expected);
  });

  it('accepts no image that its match does not select, and reports no image without a path', () => {
    const match = "obj.metadata.namespace == 'other'";
    expect(short(decided('nginx:1', [cache({ match })], ociTarget('mirror.test')))).toBe(
      'mirror.test/docker.io/library/nginx:1',
    );
    const kept = decided('ghcr.io/a/b:1', [cache(), { ...cache(), name: 'second' }]);
    expect(kept).toMatchObject({
      reason: 'no-target',
      detail: 'no target matches it: target cache has no path for ghcr.io, target second has no path for ghcr.io',
    });
    expect(decided('nginx', [cache({ match })])).toMatchObject({
      reason: 'no-target',
      detail: 'no target matches it, and there is no default target',
    });
  });

  it('does not evaluate its match for an image without a path', () => {
    const decision = decided('ghcr.io/a/b:1', [cache({ match: 'container.image' })], ociTarget('mirror.test'));
    expect(decision).toMatchObject({ action: 'mirror', warnings: [] });
  });
});

describe('a label or annotation that looks like an opt-out', () => {
  it.each([
    [{ labels: { 'image-swapper.io/skip': 'yes' } }, 'its value is "yes", and only "true" opts the Pod out'],
    [{ annotations: { 'image-swapper.io/skip': '' } }, 'its value is "", and only "true" opts the Pod out'],
    [{ labels: { 'image-swapper.io/skip': 'false' } }, undefined],
    [{ labels: { 'image-swapper.io/skip': 'true' } }, undefined],
    [{}, undefined],
  ])('is reported with the missing part: %j', (metadata, expected) => {
    const [explained] = explainDecisions(rulesOf(), input(podOf(['nginx'], metadata)));
    const hint = explained?.explanation.hint;
    if (expected === undefined) expect(hint).toBeUndefined();
    else expect(hint).toContain(expected);
  });
});
