import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applySwaps } from './swapped.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { Sources } from '../../../extension-service/src/kubernetes/workloads/sources.js';
import { usesOf } from '../../../extension-service/src/kubernetes/workloads/uses.js';
import { admissionRequest } from '../decide/arbitraries.js';
import { configOf, ociTarget, rulesOf } from '../decide/rules-of.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';

const LONG = `docker.io/team/${'a'.repeat(150)}`;
const DIGEST = `sha256:${'b'.repeat(64)}`;

const plain = rulesOf();
const tight = rulesOf({ target: ociTarget('mirror.test', { prefix: 'x'.repeat(130) }) });
/** Rules with a prefix so long that every name is shortened, and with a target that depends on the Pod's namespace. */
const several = rulesOf(
  {
    target: ociTarget('mirror.test', { prefix: `team/${'x'.repeat(130)}` }),
    targets: [ociTarget('eu.test', { name: 'eu', match: "starts_with(obj.metadata.namespace, 'eu-')" })],
  },
  "contains(container.image, 'filtered')",
);

function pod(...images: string[]): JsonObject {
  return { spec: { containers: images.map((image, index) => ({ name: `c${index}`, image })) } };
}

function sourcesOf(rules: ReturnType<typeof rulesOf>, object: JsonObject, sources = new Sources()): string[] {
  return usesOf(rules, sources, object, 'team-a').jobs.map(({ source }) => source);
}

describe('the images that a Pod needs in the targets', () => {
  it.each<readonly [string, JsonObject, readonly string[]]>([
    [
      'each image once',
      pod('nginx', 'nginx:latest', 'quay.io/a/b:1'),
      ['docker.io/library/nginx:latest', 'quay.io/a/b:1'],
    ],
    ['an image that was swapped', pod('mirror.test/docker.io/library/nginx:1'), ['docker.io/library/nginx:1']],
    ['by digest', pod(`mirror.test/quay.io/a/b@${DIGEST}`), [`quay.io/a/b@${DIGEST}`]],
    ['nothing of what is in the target and no mirror', pod('mirror.test/our-own:1'), []],
    ['nothing of what is not an image', pod('', 'A B', 'x'.repeat(5_000)), []],
    [
      'ephemeral and init containers too',
      { spec: { initContainers: [{ name: 'i', image: 'i:1' }], ephemeralContainers: [{ name: 'e', image: 'e:1' }] } },
      ['docker.io/library/i:1', 'docker.io/library/e:1'],
    ],
    [
      'image volumes too, swapped or not',
      {
        spec: {
          volumes: [
            { name: 'a', image: { reference: 'v:1' } },
            { name: 'b', image: { reference: 'mirror.test/quay.io/m/l:3' } },
            { name: 'c', emptyDir: {} },
          ],
        },
      },
      ['docker.io/library/v:1', 'quay.io/m/l:3'],
    ],
    [
      'nothing of a Pod that opted out',
      { metadata: { labels: { 'image-swapper.io/skip': 'true' } }, ...pod('nginx') },
      [],
    ],
    [
      'nothing of a container that opted out',
      { metadata: { annotations: { 'image-swapper.io/skip-containers': 'c0' } }, ...pod('nginx', 'a:1') },
      ['docker.io/library/a:1'],
    ],
    [
      'nothing of a static Pod',
      { metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } }, ...pod('nginx') },
      [],
    ],
  ])('%s', (_, object, expected) => {
    expect(sourcesOf(plain, object)).toEqual(expected);
  });

  it('are decided once: a filter on fields of the stored Pod does not revert a swap', () => {
    const rules = rulesOf({}, "obj.spec.nodeName == 'n1'");
    const stored = (image: string) => ({ spec: { ...(pod(image)['spec'] as object), nodeName: 'n1' } });
    const source = 'docker.io/library/app:1';
    expect(sourcesOf(rules, stored(source))).toEqual([]);
    expect(sourcesOf(rules, stored(`mirror.test/${source}`))).toEqual([source]);
    const optedOut = { metadata: { labels: { 'image-swapper.io/skip': 'true' } }, ...stored(`mirror.test/${source}`) };
    expect(sourcesOf(rules, optedOut)).toEqual([]);
  });

  it('include volumes when source.volumes: false is set later', () => {
    const rules = rulesOf({ source: { ...configOf().source, volumes: false } });
    const withVolume = (reference: string) => ({ spec: { volumes: [{ name: 'a', image: { reference } }] } });
    expect(sourcesOf(rules, withVolume('v:1'))).toEqual([]);
    expect(sourcesOf(rules, withVolume('mirror.test/quay.io/m/l:3'))).toEqual(['quay.io/m/l:3']);
  });

  it('include images that no target accepts any more', () => {
    const { target, ...config } = configOf({ targets: [ociTarget('eu.test', { name: 'eu', match: '`false`' })] });
    void target;
    const rules = compileRules(config, namingTarget);
    expect(sourcesOf(rules, pod('nginx:1'))).toEqual([]);
    expect(sourcesOf(rules, pod('eu.test/docker.io/library/nginx:1'))).toEqual(['docker.io/library/nginx:1']);
  });

  it.each<readonly [string, string, readonly string[], boolean, boolean]>([
    ['is not compared with what it reads like', '', ['mirror.test/acme.io/app:1'], true, false],
    ['is compared below a path of the mirror', 'mirror', ['mirror.test/mirror/acme.io/app:1'], false, true],
    ['is compared where the Pod names the source', '', ['acme.io/app:1'], false, true],
    ['is compared where it names both', '', ['acme.io/app:1', 'mirror.test/acme.io/app:1'], false, true],
    ['is compared where it names both the other way', '', ['mirror.test/acme.io/app:1', 'acme.io/app:1'], false, true],
  ])('%s', (_, prefix, images, uncertain, force) => {
    const rules = rulesOf({ imageCopyPolicy: 'force', target: ociTarget('mirror.test', { prefix }) });
    const uses = usesOf(rules, new Sources(), pod(...images), 'team-a');
    expect(uses.jobs).toMatchObject([{ source: 'acme.io/app:1', force }]);
    expect(uses.uncertain.has(uses.jobs[0]?.key ?? '')).toBe(uncertain);
  });

  it('must be in the target that the Pod names, even if another target would accept it now', () => {
    const [job] = usesOf(several, new Sources(), pod('eu.test/docker.io/library/nginx:1'), 'team-a').jobs;
    expect(job).toMatchObject({ source: 'docker.io/library/nginx:1', target: 'eu' });
    expect(job?.reference.text).toBe('eu.test/docker.io/library/nginx:1');
  });

  it('have the namespace and secrets of the Pod', () => {
    const object = {
      spec: { ...(pod('nginx')['spec'] as object), serviceAccountName: 'robot', imagePullSecrets: [{ name: 'x' }] },
    };
    expect(usesOf(plain, new Sources(), object, 'team-a').jobs[0]?.pull).toEqual({
      namespace: 'team-a',
      serviceAccount: 'robot',
      secretNames: ['x'],
    });
  });

  it('are empty when nothing is copied', () => {
    expect(sourcesOf(rulesOf({ imageCopyPolicy: 'none' }), pod('nginx'))).toEqual([]);
  });
});

describe('a shortened name', () => {
  const original = pod(`${LONG}:1`);
  const { jobs } = usesOf(tight, new Sources(), original, 'team-a');
  const text = jobs[0]?.reference.text ?? '';

  it('is unknown until its source was seen under any tag', () => {
    const sources = new Sources();
    expect(text).toContain('_short/');
    expect(usesOf(tight, sources, pod(text), 'team-a')).toEqual({ jobs: [], uncertain: new Set(), unknown: [text] });
    usesOf(tight, sources, pod(`${LONG}:another`), 'team-a');
    expect(usesOf(tight, sources, pod(text), 'team-a')).toMatchObject({ jobs: [{ source: `${LONG}:1` }], unknown: [] });
    const digest = text.replace(/:1$/, `@${DIGEST}`);
    expect(sourcesOf(tight, pod(digest), sources)).toEqual([`${LONG}@${DIGEST}`]);
  });

  it('is known from a copy that an admission requested', () => {
    const sources = new Sources();
    const [target] = tight.targets;
    if (target === undefined || jobs[0] === undefined) throw new Error('there is none');
    sources.recordJob(target, jobs[0]);
    expect(sourcesOf(tight, pod(text), sources)).toEqual([`${LONG}:1`]);
  });

  it('is remembered for the latest ten thousand', () => {
    const sources = new Sources();
    for (let names = 0; names <= 10_000; names += 1) usesOf(tight, sources, pod(`${LONG}${names}x`), 'team-a');
    const short = (name: string) => usesOf(tight, new Sources(), pod(name), 'team-a').jobs[0]?.reference.text ?? '';
    expect(sourcesOf(tight, pod(short(`${LONG}0x`)), sources)).toEqual([]);
    expect(sourcesOf(tight, pod(short(`${LONG}1x`)), sources)).toHaveLength(1);
  });
});

describe.each([
  ['one target', plain],
  ['several targets and long names', several],
])('whatever the Pod, with %s', (_, rules) => {
  it('needs the same images after a swap and never throws', () => {
    let swappedPods = 0;
    fc.assert(
      fc.property(admissionRequest, fc.constantFrom('team-a', 'eu-west'), ({ object }, namespace) => {
        const before = (typeof object === 'object' && object !== null ? object : {}) as JsonObject;
        const sources = new Sources();
        const original = usesOf(rules, sources, before, namespace);
        const after = applySwaps(rules, before, namespace);
        if (JSON.stringify(after) !== JSON.stringify(before)) swappedPods += 1;
        const swapped = usesOf(rules, sources, after, namespace);
        expect(swapped.jobs.map(({ key }) => key)).toEqual(original.jobs.map(({ key }) => key));
        expect(swapped.unknown).toEqual(original.unknown);
      }),
      { numRuns: 400 },
    );
    expect(swappedPods).toBeGreaterThan(100);
  });
});
