import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { podsInFile } from '../../../extension-service/src/cli/explain-file.js';
import { POD_KINDS } from '../../../extension-service/src/cli/pod-kinds.js';
import { swapManifests } from '../../../extension-service/src/cli/swap/swap-manifests.js';
import type { SwapOptions, SwappedManifests } from '../../../extension-service/src/cli/swap/swap-manifests.js';
import { rulesOf } from '../decide/rules-of.js';

const NGINX = 'mirror.test/docker.io/library/nginx:1';

const options: SwapOptions = {
  file: 'all.yaml',
  rules: rulesOf({}, "obj.metadata.namespace == 'kube-system'"),
  pods: { annotate: true, pullSecret: 'regcred' },
  namespace: 'default',
  isWanted: () => Promise.resolve(true),
};

const swap = (text: string, more: Partial<SwapOptions> = {}): Promise<SwappedManifests> =>
  swapManifests(text, { ...options, ...more });
/** Without additions, so that only images differ. */
const plain = { pods: { annotate: false } } as const;

/** An object of the kind with the value at the path of a pattern. */
function objectWith(apiVersion: string, kind: string, pattern: string, value: unknown): object {
  const steps = pattern.replaceAll('[]', '.[]').split('.');
  const inner = steps.reduceRight<unknown>(
    (child, step) => (step === '[]' ? [child] : { [step === '*' ? 'any' : step]: child }),
    value,
  );
  return { apiVersion, kind, metadata: { name: 'web', namespace: 'team-a' }, ...(inner as object) };
}

const container = { name: 'main', image: 'nginx:1', command: ['nginx:1'] };
const spec = { containers: [container], initContainers: [{ ...container, name: 'init' }] };
const pod = { apiVersion: 'v1', kind: 'Pod', spec };

const places = POD_KINDS.flatMap(({ group, kinds, templates = [], specs = [], containers = [], objects = [] }) =>
  kinds.flatMap((kind) => [
    ...templates.map((path) => [group, kind, path, { metadata: {}, spec }] as const),
    ...specs.map((path) => [group, kind, path, spec] as const),
    ...containers.flatMap((path) => [
      [group, kind, path, [container]] as const,
      [group, kind, path, container] as const,
    ]),
    ...objects.map((path) => [group, kind, path, pod] as const),
  ]),
);

describe('kinds that create Pods', () => {
  it.each(places)('%s %s: %s is swapped and explained', async (group, kind, path, value) => {
    const text = stringify(objectWith(`${group}/v1`, kind, path, value));
    const { text: after, problems, notes } = await swap(text, plain);
    expect(after).toBe(text.replaceAll('image: nginx:1', `image: ${NGINX}`));
    expect(after).not.toBe(text);
    expect([...problems, ...notes]).toEqual([]);
    expect((await swap(after, plain)).text).toBe(after);
    const { pods } = podsInFile(text, 'all.yaml');
    expect(pods.map(({ pod: one }) => one['metadata'])).toMatchObject([{ namespace: 'team-a' }]);
    // Another project's kind of the same name is not touched.
    const other = stringify(objectWith('example.com/v1', kind, path, value));
    if (path !== 'spec.template') expect((await swap(other, plain)).text).toBe(other);
  });

  it('are changed in every place, and keep parameters that are filled in later', async () => {
    const text = `apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: build}
spec:
  arguments: {parameters: [{name: image, value: nginx:1}]}
  templates:
  - name: main # first
    steps: [[{name: a, template: b}, {name: inline, inline: {script: {image: "nginx:1", source: x}}}]]
  - name: b
    initContainers: [{name: i, image: nginx:1}]
    container: {image: nginx:1, args: [nginx:1]}
  - name: c
    container: {image: "{{inputs.parameters.image}}"}
  - name: d
    containerSet: {containers: [{name: x, image: nginx:1}, {name: main, image: 'nginx:1'}]}
`;
    const { text: after, problems, notes } = await swap(text);
    expect(after).toBe(text.replace(/image: (["']?)nginx:1/g, `image: $1${NGINX}`));
    expect([...problems, ...notes]).toEqual([]);
  });

  it('still report an image that is neither a reference nor a parameter', async () => {
    const task = (image: string): string =>
      `apiVersion: tekton.dev/v1\nkind: Task\nspec:\n  steps:\n  - image: ${image}\n`;
    expect((await swap(task('$(params.image)'))).problems).toEqual([]);
    expect((await swap(task('Nginx:1'))).problems).toEqual([expect.stringMatching(/^all\.yaml:5:12: .*Nginx:1/)]);
    const deployment = 'kind: Deployment\nspec: {template: {spec: {containers: [{image: "$(params.image)"}]}}}\n';
    expect((await swap(deployment)).problems).toHaveLength(1);
  });

  it('are explained without the images that are parameters', () => {
    const text = `apiVersion: tekton.dev/v1
kind: Task
metadata: {name: build}
spec:
  steps: [{name: a, image: nginx:1}, {name: b, image: "$(params.image)"}]
  sidecars: [{name: c, image: "$(params.sidecar)"}]
`;
    expect(podsInFile(text, 'all.yaml').pods).toEqual([
      {
        title: 'Task build spec.steps',
        pod: { kind: 'Pod', metadata: {}, spec: { containers: [{ name: 'a', image: 'nginx:1' }] } },
      },
    ]);
    const { pods, others, notes } = podsInFile(`${text.replace('nginx:1', '$(params.a)')}---\nkind: Pod\n`, 'all.yaml');
    expect({ pods: pods.length, others, notes }).toEqual({
      pods: 1,
      others: [],
      notes: ['Task build has only images that are parameters'],
    });
  });

  it('get a pull secret and annotations only in Pod templates', async () => {
    const set = objectWith('jobset.x-k8s.io/v1alpha2', 'JobSet', 'spec.replicatedJobs[].template.spec.template', {
      spec,
    });
    const job = parse((await swap(stringify(set))).text) as object;
    expect(JSON.stringify(job)).toContain('"imagePullSecrets":[{"name":"regcred"}]');
    const service = objectWith('serving.kserve.io/v1beta1', 'InferenceService', 'spec.predictor', {
      ...spec,
      model: { image: 'nginx:1', modelFormat: { name: 'onnx' } },
    });
    const { text: after } = await swap(stringify(service));
    expect(parse(after)).toEqual(
      JSON.parse(JSON.stringify(service).replaceAll('"image":"nginx:1"', `"image":"${NGINX}"`)),
    );
  });

  it('are decided in their namespace and by the labels of the object', async () => {
    const at = (metadata: object): string =>
      stringify({ apiVersion: 'tekton.dev/v1', kind: 'Task', metadata, spec: { steps: [container] } });
    for (const kept of [{ namespace: 'kube-system' }, { labels: { 'image-swapper.io/skip': 'true' } }])
      expect((await swap(at(kept))).text).toBe(at(kept));
    expect((await swap(at({}))).text).toContain(NGINX);
  });
});

describe('containers of unknown kinds', () => {
  const widget = {
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name: 'w', namespace: 'team-a' },
    spec: { parts: [{ pod: { containers: [container] } }] },
  };

  it('are not changed, and a note names the place', async () => {
    const text = `${stringify({ kind: 'Pod', spec })}---\n${stringify(widget)}`;
    const { text: after, notes, problems } = await swap(text, plain);
    const line = text.split('\n').findIndex((one) => one.includes('parts:')) + 4;
    expect(after.endsWith(stringify(widget))).toBe(true);
    expect(notes).toEqual([
      expect.stringMatching(
        new RegExp(
          `^all\\.yaml:${line}:[0-9]+: Widget team-a/w has images under spec\\.parts\\[0\\]\\.pod\\.containers, which are not changed`,
        ),
      ),
    ]);
    expect(problems).toEqual([]);
    const explained = podsInFile(text, 'all.yaml');
    expect(explained.pods).toHaveLength(1);
    expect(explained.others).toEqual([]);
    expect(explained.notes).toEqual([expect.stringContaining('Widget team-a/w has images under')]);
    expect(() => podsInFile(stringify(widget), 'all.yaml')).toThrow('Widget team-a/w has images under');
  });

  it.each([
    ['a policy with a pattern of containers', { ...widget, apiVersion: 'kyverno.io/v1', kind: 'ClusterPolicy' }],
    ['a list without images', { ...widget, spec: { containers: [{ name: 'a' }, 'b'] } }],
    ['no kind', { spec: { deep: widget.spec } }],
  ])('get no note for %s', async (_, object) => {
    expect(await swap(stringify(object), plain)).toEqual({ text: stringify(object), problems: [], notes: [] });
  });
});
