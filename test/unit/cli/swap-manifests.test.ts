import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import type { ToStringOptions } from 'yaml';
import { swapManifests } from '../../../extension-service/src/cli/swap/swap-manifests.js';
import type { SwapOptions } from '../../../extension-service/src/cli/swap/swap-manifests.js';
import { imagesAnswer } from '../../../extension-service/src/core/decide/answer.js';
import { decide } from '../../../extension-service/src/core/decide/decide.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { admissionRequest } from '../decide/arbitraries.js';
import { rulesOf } from '../decide/rules-of.js';

const NGINX = 'mirror.test/docker.io/library/nginx:1';
const REDIS = 'mirror.test/docker.io/library/redis:7';

const options: SwapOptions = {
  file: 'all.yaml',
  rules: rulesOf({}, "obj.metadata.namespace == 'kube-system'"),
  pods: { annotate: false },
  namespace: 'default',
  isWanted: () => Promise.resolve(true),
};

async function swapped(text: string, more: Partial<SwapOptions> = {}): Promise<string> {
  return (await swapManifests(text, { ...options, ...more })).text;
}

const pod = { containers: [{ name: 'a', image: 'nginx:1' }] };

describe('swapping the images of manifests', () => {
  it.each([
    ['Pod', { spec: pod }],
    ['Deployment', { spec: { template: { spec: pod } } }],
    ['StatefulSet', { spec: { template: { spec: pod } } }],
    ['DaemonSet', { spec: { template: { spec: pod } } }],
    ['ReplicaSet', { spec: { template: { spec: pod } } }],
    ['ReplicationController', { spec: { template: { spec: pod } } }],
    ['Job', { spec: { template: { spec: pod } } }],
    ['CronJob', { spec: { jobTemplate: { spec: { template: { spec: pod } } } } }],
    ['PodTemplate', { template: { spec: pod } }],
  ])('changes the image of a %s, in YAML, in JSON and in a List', async (kind, body) => {
    const object = { kind, metadata: { name: 'web' }, ...body };
    for (const one of [object, { kind: 'List', items: [{ kind: 'Service' }, object] }]) {
      for (const text of [stringify(one), JSON.stringify(one), `${JSON.stringify(one, null, '\t')}\n`])
        expect(await swapped(text)).toBe(text.replace('nginx:1', NGINX));
    }
  });

  it('changes every place of the table: containers of all kinds and image volumes', async () => {
    const text = `kind: Pod
spec:
  initContainers: [{name: i, image: nginx:1}]
  containers:
  - {name: c, image: "nginx:1"}
  ephemeralContainers:
  - name: e
    image: 'nginx:1'
  volumes:
  - name: v
    image: {reference: nginx:1, pullPolicy: Always}
`;
    expect(await swapped(text)).toBe(text.replaceAll('nginx:1', NGINX));
  });

  it('keeps comments, order, quotes, line ends and other documents byte for byte', async () => {
    const text = `\uFEFF# the shop\r
apiVersion: v1\r
kind:   ConfigMap\r
data: {"image" :  nginx:1, a: 1, a: 2}   # not a Pod\r
---\r
# Source: chart/templates/web.yaml\r
spec:\r
    template:\r
        spec:\r
            containers:   # two\r
            -   image:    "nginx:1"    # the front\r
                name: front\r
            # between\r
            -   name: cache\r
                image: >-   # folded\r
                    redis:7\r
kind: Deployment\r
...\r
---\r
`;
    const wanted = text.replace('"nginx:1"', `"${NGINX}"`).replace('redis:7', REDIS);
    expect(await swapped(text)).toBe(wanted);
  });

  it('returns text without workloads unchanged, including empty text and comments', async () => {
    for (const text of ['', '# nothing\n', '---\n---\n', 'kind: Service\n', '[1, 2]\n', 'a: !custom [b]\n'])
      expect(await swapped(text)).toBe(text);
  });

  it('decides in the namespace of the object, or in the given namespace', async () => {
    const text = stringify({
      kind: 'Deployment',
      metadata: { namespace: 'kube-system' },
      spec: { template: { spec: pod } },
    });
    expect(await swapped(text, { namespace: 'team-a' })).toBe(text);
    const none = text.replace('kube-system', 'team-a');
    expect(await swapped(none, { namespace: 'kube-system' })).toContain(NGINX);
    const without = stringify({ kind: 'Pod', spec: pod });
    expect(await swapped(without, { namespace: 'kube-system' })).toBe(without);
  });

  it('keeps opted-out Pods and containers, other pull policies and images in the target', async () => {
    const images = [
      { name: 'a', image: 'nginx:1', imagePullPolicy: 'Never' },
      { name: 'b', image: NGINX },
    ];
    const text = stringify({ kind: 'Pod', spec: { containers: images } });
    const out = stringify({ kind: 'Pod', metadata: { labels: { 'image-swapper.io/skip': 'true' } }, spec: pod });
    expect(await swapped(`${text}---\n${out}`)).toBe(`${text}---\n${out}`);
  });

  it('names the location of an image that is not a reference, and changes the others', async () => {
    const text = 'kind: Pod\nspec:\n  containers:\n  - image: Nginx:1\n  - image: redis:7\n';
    const { text: after, problems } = await swapManifests(text, options);
    expect(after).toBe(text.replace('redis:7', REDIS));
    expect(problems).toEqual([expect.stringMatching(/^all\.yaml:4:12: .*Nginx:1/)]);
  });

  it('keeps an unwanted image, and reports the reason', async () => {
    const text = 'kind: Pod\nspec:\n  containers:\n  - image: nginx:1\n  - image: redis:7\n';
    const isWanted: SwapOptions['isWanted'] = ({ container }) =>
      Promise.resolve(container.image === 'redis:7' ? 'no answer' : false);
    expect(await swapManifests(text, { ...options, isWanted })).toEqual({
      text,
      problems: ['all.yaml:5:12: no answer'],
      notes: [],
    });
  });
});

describe('anchors and aliases in manifests', () => {
  it('changes an anchor once when all its uses need the same image', async () => {
    const text = `kind: Pod
spec:
  initContainers:
  - image: &image nginx:1
  containers:
  - image: *image
`;
    expect(await swapped(text)).toBe(text.replace('nginx:1', NGINX));
  });

  it('keeps the text of an alias that is not an image', async () => {
    const text = `kind: Pod
metadata: {labels: {version: &v nginx:1}}
spec:
  containers:
  - image: *v
    env: [{name: IMAGE, value: *v}]
  - image: &w redis:7
    env: [{name: IMAGE, value: *w}]
`;
    const wanted = text
      .replace('image: *v', `image: ${NGINX}`)
      .replace('&w redis:7', `&w ${REDIS}`)
      .replace('value: *w', 'value: redis:7');
    expect(await swapped(text)).toBe(wanted);
  });

  it('changes templates that are shared by an anchor or a merge key', async () => {
    const text = `kind: List
items:
- kind: Deployment
  spec:
    template: &template
      spec:
        containers:
        - &front {name: a, image: nginx:1}
        - <<: *front
          name: b
- kind: StatefulSet
  spec: {template: *template}
`;
    expect(await swapped(text)).toBe(text.replace('nginx:1', NGINX));
  });

  it('refuses one text that would need two images, with its location', async () => {
    const text = `kind: List
items:
- kind: Deployment
  metadata: {namespace: kube-system}
  spec:
    template: &template
      spec:
        containers:
        - image: nginx:1
- kind: Deployment
  spec: {template: *template}
`;
    await expect(swapped(text)).rejects.toThrow(
      'all.yaml:9:18: nginx:1 is shared by an anchor between places that need different images; write them out',
    );
  });

  it('refuses aliases that multiply', async () => {
    const lines = ['a0: &a0 [x, x, x, x]'];
    for (let i = 1; i < 9; i++)
      lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`);
    await expect(swapped(lines.join('\n'))).rejects.toThrow(/^all\.yaml:1:1: this document cannot be resolved/);
  });
});

describe('bad manifests', () => {
  it.each([
    ['kind: Pod\nspec:\n  containers: [\n', 'all.yaml:4:1: '],
    ['a: 1\n---\nb: {\n  c: "d\n', 'all.yaml:5:1: '],
    ['kind: Pod\nspec:\n\tcontainers: []\n', 'all.yaml:3:1: '],
    ['a: *missing\n', 'all.yaml:1:4: '],
    ['{"kind": "Pod"}\n{"kind": "Pod"}\n', 'all.yaml:2:1: '],
  ])('are refused with line and column: %j', async (text, message) => {
    await expect(swapped(text)).rejects.toThrow(message);
  });
});

describe('additions of pods.*', () => {
  const pods = { pullSecret: 'mirror', annotate: true };

  it.each([
    ['block YAML', 'kind: Pod\nspec:\n  containers:\n  - name: a\n    image: nginx:1\n'],
    [
      'a list and annotations that are there',
      'kind: Pod\nmetadata:\n  annotations:\n    a: b\nspec:\n  imagePullSecrets:\n  - name: x\n  containers:\n  - name: a\n    image: nginx:1\n',
    ],
    [
      'empty values',
      'kind: Pod\nmetadata:\n  annotations:\nspec:\n  imagePullSecrets: []\n  containers: [{name: a, image: nginx:1}]\n',
    ],
    ['JSON', JSON.stringify({ kind: 'Pod', metadata: {}, spec: { containers: [{ name: 'a', image: 'nginx:1' }] } })],
    [
      'a template',
      stringify({ kind: 'Job', spec: { template: { spec: { containers: [{ name: 'a', image: 'nginx:1' }] } } } }),
    ],
  ])('are in %s once', async (_title, text) => {
    const once = await swapped(text, { pods });
    const [document] = parseAllDocuments(once);
    const object = document?.toJS() as JsonObject;
    const found = JSON.stringify(object);
    expect(found).toContain(`"image":"${NGINX}"`);
    expect(found.match(/"name":"mirror"/g)).toHaveLength(1);
    expect(found).toContain(`"image-swapper.io/original-images":${JSON.stringify('{"a":"nginx:1"}')}`);
    expect(await swapped(once, { pods })).toBe(once);
  });
});

describe('a KRM function', () => {
  const list = `apiVersion: config.kubernetes.io/v1
kind: ResourceList
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: web
    namespace: shop
    annotations:
      config.kubernetes.io/index: '1'
      internal.config.kubernetes.io/path: web.yaml
  spec: {template: {spec: {containers: [{name: a, image: nginx:1}]}}}
- {apiVersion: v1, kind: Service, metadata: {name: web}}
functionConfig:
  kind: Pod
  spec: {containers: [{image: nginx:1}]}
`;
  const result = {
    message: `nginx:1 is ${NGINX}`,
    severity: 'info',
    resourceRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', namespace: 'shop' },
    field: { path: 'spec.template.spec.containers[0].image', currentValue: 'nginx:1', proposedValue: NGINX },
    file: { path: 'web.yaml', index: 1 },
  };

  it('changes only items and adds a result for each image', async () => {
    const once = await swapped(list);
    const before = parseAllDocuments(list)[0]?.toJS() as JsonObject;
    const after = parseAllDocuments(once)[0]?.toJS() as JsonObject;
    const items = JSON.parse(JSON.stringify(before['items']).replace('nginx:1', NGINX)) as unknown;
    expect(after).toEqual({ ...before, items, results: [result] });
    expect(await swapped(once)).toBe(once);
  });

  it('ends added lines like the text', async () => {
    const after = await swapped(list.replaceAll('\n', '\r\n'));
    expect(after).toContain('results:');
    expect(after.replaceAll('\r\n', '')).not.toContain('\n');
  });

  it('adds no results to a ResourceList of another tool', async () => {
    const other = list.replace('config.kubernetes.io/v1', 'example.com/v1');
    expect(other).not.toBe(list);
    expect(await swapped(other)).not.toContain('results');
  });

  it('keeps the results of functions before it, in YAML and JSON', async () => {
    for (const text of [
      `${list}results:\n- message: first\n`,
      JSON.stringify({ ...(parseAllDocuments(list)[0]?.toJS() as object), results: [{ message: 'first' }] }),
    ]) {
      const after = parseAllDocuments(await swapped(text))[0]?.toJS() as { results: unknown };
      expect(after.results).toEqual([result, { message: 'first' }]);
    }
  });
});

describe('any Pod', () => {
  const layout = fc.record({
    indent: fc.constantFrom(2, 4),
    indentSeq: fc.boolean(),
    lineWidth: fc.constantFrom(0, 20, 80),
    defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_SINGLE', 'QUOTE_DOUBLE', 'BLOCK_LITERAL', 'BLOCK_FOLDED'),
    aliasDuplicateObjects: fc.boolean(),
  });
  const wrapped = fc.tuple(admissionRequest, fc.constantFrom('Pod', 'Deployment', 'CronJob'), fc.boolean());

  function objectOf(request: unknown, kind: string): unknown {
    const one = (request as { object?: unknown }).object;
    if (kind === 'Pod') return one;
    return { kind, spec: kind === 'Deployment' ? { template: one } : { jobTemplate: { spec: { template: one } } } };
  }

  it('gets the images of an admission without other changes, and a second pass changes nothing', async () => {
    let changed = 0;
    await fc.assert(
      fc.asyncProperty(wrapped, layout, async ([request, kind, isJson], style) => {
        const object = JSON.parse(JSON.stringify(objectOf(request, kind) ?? null)) as unknown;
        const text = isJson ? JSON.stringify(object, null, style.indent) : stringify(object, style as ToStringOptions);
        // The YAML library cannot read everything that it writes.
        const [document] = parseAllDocuments(text, { merge: true });
        if (document === undefined || document.errors.length > 0) return;
        const before: unknown = document.toJS();
        const once = await swapped(text);
        const expected = JSON.parse(JSON.stringify(before)) as JsonObject;
        const template =
          kind === 'Pod'
            ? expected
            : kind === 'Deployment'
              ? at(expected, 'spec', 'template')
              : at(expected, 'spec', 'jobTemplate', 'spec', 'template');
        // The code recognizes a template by a list of containers, and a Pod by its kind.
        const spec = template?.['spec'] as JsonObject | undefined;
        const isPod =
          kind === 'Pod'
            ? template?.['kind'] === 'Pod'
            : ['initContainers', 'containers', 'ephemeralContainers'].some((list) => Array.isArray(spec?.[list]));
        if (template !== undefined && isPod) {
          const own =
            typeof template['metadata'] === 'object' &&
            template['metadata'] !== null &&
            !Array.isArray(template['metadata'])
              ? template['metadata']
              : {};
          const named = (own as JsonObject)['namespace'];
          const namespace = kind === 'Pod' && typeof named === 'string' ? named : 'default';
          const decided = decide(options.rules, {
            pod: { ...template, kind: 'Pod', metadata: { ...own, namespace } },
            namespace,
            operation: 'CREATE',
          });
          const { patches } = imagesAnswer(
            decided.flatMap((one) =>
              one.action === 'mirror' ? [{ container: one.container, image: one.reference.text }] : [],
            ),
          );
          for (const { path, value } of patches) {
            const steps = path.split('/').slice(1);
            const last = steps.pop() ?? '';
            const parent = steps.reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], template);
            (parent as Record<string, unknown>)[last] = value;
            changed += 1;
          }
        }
        expect(JSON.parse(JSON.stringify(parseAllDocuments(once, { merge: true })[0]?.toJS() ?? null))).toEqual(
          expected ?? null,
        );
        expect(await swapped(once)).toBe(once);
      }),
      { numRuns: 200 },
    );
    expect(changed).toBeGreaterThan(50);
  });

  function at(object: unknown, ...keys: readonly string[]): JsonObject | undefined {
    const found = keys.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
    return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as JsonObject) : undefined;
  }
});
