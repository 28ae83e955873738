import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { post } from '../../fakes/https-client.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { BUNDLE } from '../../fakes/service.js';
import type { RunningService } from '../../fakes/service.js';
import { World, metric, plainRegistry } from './world.js';
import { until } from '../../fakes/until.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** Users who may create a Pod, or only try to. The API server calls the service before it validates the Pod. */

const world = new World();
let service: RunningService;
let target: FakeRegistry;

beforeAll(async () => {
  target = await world.registry();
  service = await world.serve(
    {
      imageSwapPolicy: 'always',
      imageCopyPolicy: 'none',
      target: plainRegistry(target),
      source: {
        filters: [
          { jmespath: "obj.metadata.labels.skip == 'yes'" },
          { jmespath: "contains(obj.spec.containers[].env[].name, 'SKIP')" },
        ],
      },
    },
    { plain: true },
  );
});
afterAll(() => world.close());

const place = (image: string): string => `${target.host}/docker.io/library/${image}`;
const ask = (body: string, path = '/v1/kyverno') => post(`${service.url}${path}`, body);
const request = (spec: string, metadata = '{}'): string =>
  `{"request":{"uid":"u","operation":"CREATE","namespace":"a","object":{"kind":"Pod","metadata":${metadata},"spec":${spec}}}}`;
const containers = (...list: object[]): string => JSON.stringify({ containers: list });
const deep = (count: number, open = '[', close = ']'): string => open.repeat(count) + close.repeat(count);
const nginx = { name: 'app', image: 'nginx' };
const swapped = (): object => ({ images: { containers: { app: place('nginx:latest') } } });

describe('unusual JSON', () => {
  it.each([
    [
      'the same key twice: the last counts',
      request('{"containers":[{"name":"x","image":"redis","name":"app","image":"nginx"}]}'),
    ],
    [
      '__proto__ everywhere',
      request(
        '{"__proto__":{"hostNetwork":true},"containers":[{"__proto__":{"image":"redis"},"name":"app","image":"nginx"}]}',
        '{"__proto__":{"labels":{"skip":"yes"}},"labels":{"__proto__":{"skip":"yes"},"constructor":{"prototype":{"skip":"yes"}}}}',
      ),
    ],
    [
      'null among the containers',
      request(
        '{"containers":[null,5,"x",[],{"name":"app","image":"nginx"}],"initContainers":null,"ephemeralContainers":{}}',
      ),
    ],
    [
      'types of another kind',
      request(
        '{"containers":[{"name":"app","image":"nginx","env":"x","imagePullPolicy":[]}],"imagePullSecrets":7,"serviceAccountName":{}}',
        '{"labels":[1],"annotations":"x","namespace":5,"name":{}}',
      ),
    ],
    [
      'half surrogates',
      request(
        '{"containers":[{"name":"\\ud800","image":"ng\\udfffinx"},{"name":"app","image":"nginx"}]}',
        '{"labels":{"\\ud800":"\\udfff"}}',
      ),
    ],
    ['a string of 3 MB for a name', request(containers(nginx), JSON.stringify({ name: 'x'.repeat(3_000_000) }))],
    [
      'a hundred thousand labels',
      request(
        containers(nginx),
        JSON.stringify({ labels: Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`l${n}`, 'v'])) }),
      ),
    ],
  ])('%s', async (_, body) => {
    const { status, text } = await ask(body);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject(swapped());
    expect(({} as Record<string, unknown>)['skip']).toBeUndefined();
  });

  it.each([
    ['the body', deep(2_000_000).slice(0, 2_500_000)],
    ['the request as a string', JSON.stringify({ request: '['.repeat(1_500_000) })],
    ['control characters and braces', '{"request": "{{x}}\u001b[31m\n" oops'],
    [
      'labels a million levels deep',
      request(containers(nginx), `{"labels":${deep(500_000, '{"a":', '}').replace(':}', ':1}')}}`),
    ],
    ['a name a million levels deep', request(containers(nginx), `{"name":${deep(1_000_000)}}`)],
    ['a number', '5'],
    ['nothing', ''],
    ['bytes that are not text', '\u0000\ufffd\ufffe'],
    ['another kind', JSON.stringify({ request: { kind: { kind: '{{x}}\n\u001b[2J' }, object: {} } })],
    ['a list', JSON.stringify({ request: [] })],
    ['no containers', request('{"containers":null}')],
  ])('%s: a 400 on one line, without braces, quoting nothing', async (_, body) => {
    const { status, text, headers } = await ask(body);
    expect(status).toBe(400);
    expect(headers['content-type']).toBe('application/json');
    const { error } = JSON.parse(text) as { error: { message: string } };
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}\u2028]|\{\{|oops/u);
    expect(text.length).toBeLessThan(400);
  });
});

describe('names and images with special characters', () => {
  it('never put braces into an answer, and other containers are served', async () => {
    const list = [
      { name: '{{request.object.spec}}', image: 'nginx' },
      { name: 'a', image: '{{request.object}}' },
      { name: 'b', image: 'nginx:{{x}}' },
      nginx,
    ];
    for (const [path, body] of [
      ['/v1/kyverno', request(containers(...list))],
      [
        '/v1/kyverno',
        JSON.stringify({
          request: JSON.stringify((JSON.parse(request(containers(...list))) as { request: unknown }).request),
        }),
      ],
      ['/v1/explain', JSON.stringify({ kind: 'Pod', spec: { containers: list } })],
      ['/v1/gatekeeper', JSON.stringify({ kind: 'ProviderRequest', request: { keys: ['{{x}}', 'nginx'] } })],
      [
        '/webhook',
        JSON.stringify({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          request: { uid: '{{u}}', kind: { kind: '{{k}}' } },
        }),
      ],
    ] as const) {
      const { status, text } = await ask(body, path);
      expect(status).toBe(200);
      expect(text).not.toContain('{{');
    }
    const answer = (await ask(request(containers(...list)))).json();
    expect(answer).toMatchObject(swapped());
    expect(JSON.stringify(answer)).not.toContain('{{');
  });

  const FORGED = 'x\n{"level":"error","message":"forged"}\r\n\u001b[2Jforged\u202eforged';
  const forgedPod = (): string =>
    request(containers({ name: FORGED, image: FORGED }, nginx), JSON.stringify({ name: FORGED }));
  const forgedKind = JSON.stringify({ request: { kind: { kind: FORGED }, object: {} } });

  it('never start a new line in the log', async () => {
    await ask(forgedPod());
    await ask(forgedKind);
    await until('the refusal is logged', () => service.log.some(({ message }) => message.includes('is for kind x')));
    expect(service.log.filter(({ level, message }) => level === 'raw' || message === 'forged')).toEqual([]);
  });

  it('never start a new line in the console log', async () => {
    const file = join(service.folder, 'console.yaml');
    const config = {
      logFormat: 'console',
      imageSwapPolicy: 'always',
      imageCopyPolicy: 'none',
      target: plainRegistry(target),
    };
    await writeFile(file, stringify(config));
    const flags = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];
    const child = spawn(process.execPath, [...compileCacheFlags(), BUNDLE, 'serve', '--config', file, ...flags]);
    try {
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
      const address = (): string | undefined => /purpose: "admission"\s+address: "([^"]+)"/.exec(log)?.[1];
      await until('it listens', () => address() !== undefined);
      for (const body of [forgedPod(), forgedKind]) await post(`http://${address() ?? ''}/v1/kyverno`, body);
      await until('both are logged', () => log.includes('is for kind x') && log.includes('decided'));
      expect(log).not.toMatch(/^\{|^forged|\p{Cc}\[2J|\u202e/mu);
    } finally {
      child.kill();
    }
  });

  it('a log line has a bounded length, whatever the Pod', async () => {
    const list = Array.from({ length: 400 }, (_, n) => ({
      name: `${n}${'n'.repeat(4_000)}`,
      image: 'i'.repeat(2_000),
    }));
    const metadata = JSON.stringify({ name: 'm'.repeat(100_000) });
    expect((await ask(request(containers(...list), metadata))).status).toBe(200);
    await until('the line', () =>
      service.log.some(({ containers: told }) => Array.isArray(told) && told.length === 50),
    );
    expect(Math.max(...service.log.map((line) => JSON.stringify(line).length))).toBeLessThan(100_000);
  });
});

describe('additions to swapped Pods', () => {
  it('go to the webhook as patches and to Kyverno under "pod", whatever secrets exist', async () => {
    const more = await world.serve(
      {
        imageSwapPolicy: 'always',
        imageCopyPolicy: 'none',
        target: plainRegistry(target),
        pods: { pullSecret: 'of-nobody', annotate: true },
      },
      { plain: true },
    );
    const text = '{"app":"nginx"}';
    const swap = { op: 'replace', path: '/spec/containers/0/image', value: place('nginx:latest') };
    const answer = await post(`${more.url}/v1/kyverno`, request(containers(nginx)));
    expect(answer.json()).toEqual({
      ...swapped(),
      patches: [swap],
      pod: { pullSecret: 'of-nobody', originalImages: text },
    });
    const review = (spec: string): string => {
      const { request: asked } = JSON.parse(request(spec)) as { readonly request: object };
      return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: asked });
    };
    const patchOf = async (spec: string): Promise<unknown> => {
      const { response } = (await post(`${more.url}/webhook`, review(spec))).json() as {
        readonly response: { readonly allowed: boolean; readonly patch?: string };
      };
      expect(response.allowed).toBe(true);
      return response.patch === undefined ? undefined : JSON.parse(Buffer.from(response.patch, 'base64').toString());
    };
    expect(await patchOf(containers(nginx))).toEqual([
      swap,
      { op: 'add', path: '/spec/imagePullSecrets', value: [{ name: 'of-nobody' }] },
      { op: 'add', path: '/metadata/annotations', value: { 'image-swapper.io/original-images': text } },
    ]);
    // A Pod without a swap stays unchanged.
    expect(await patchOf(containers({ name: 'app', image: place('nginx:latest') }))).toBeUndefined();
  });
});

describe('image volumes', () => {
  const volumes = (...list: unknown[]): string => JSON.stringify({ containers: [nginx], volumes: list });
  it.each<[string, unknown[]]>([
    [
      'empty or missing references',
      [
        { name: 'a', image: { reference: '' } },
        { name: 'b', image: {} },
      ],
    ],
    [
      'malformed references',
      [
        { name: 'a', image: { reference: ' busybox' } },
        { name: 'b', image: { reference: 'NO ref!!' } },
      ],
    ],
    ['values of other types', [null, 5, [], { name: 'a', image: 'x' }, { name: 'b', image: { reference: { a: 1 } } }]],
    ['braces', [{ name: 'a', image: { reference: '{{ request.object }}' } }]],
  ])('%s stay as they are, and the container is swapped', async (_, list) => {
    const answer = (await ask(request(volumes(...list)))).json();
    expect(answer).toMatchObject(swapped());
    expect(answer).toMatchObject({ patches: [{ path: '/spec/containers/0/image' }] });
    expect(
      (await ask(JSON.stringify({ kind: 'Pod', spec: JSON.parse(volumes(...list)) as object }), '/v1/explain')).status,
    ).toBe(200);
  });

  it('with the name of a container are not confused with it', async () => {
    const answer = await ask(request(volumes({ name: 'app', image: { reference: 'redis' } })));
    expect(answer.json()).toEqual({
      images: { containers: { app: place('nginx:latest') }, volumes: { app: place('redis:latest') } },
      patches: [
        { op: 'replace', path: '/spec/containers/0/image', value: place('nginx:latest') },
        { op: 'replace', path: '/spec/volumes/0/image/reference', value: place('redis:latest') },
      ],
    });
  });

  it('of several thousand leave the Pod unchanged, with the reason', async () => {
    const list = Array.from({ length: 5_000 }, (_, n) => ({ name: `v${n}`, image: { reference: `q/i${n}` } }));
    const before = await metric(service, 'image_swapper_containers_total', { outcome: 'too-large' });
    expect((await ask(request(volumes(...list)))).json()).toEqual({ images: {}, patches: [] });
    expect(await metric(service, 'image_swapper_containers_total', { outcome: 'too-large' })).toBe(before + 500);
  });
});

describe('Pods that are too large', () => {
  it.each([1_000, 100_000])('%d containers are quickly kept unchanged, and the next Pod is served', async (count) => {
    const list = Array.from({ length: count }, (_, n) => ({ name: `c${n}`, image: `q/i${n}` }));
    const before = await metric(service, 'image_swapper_containers_total', { outcome: 'too-large' });
    expect((await ask(request(containers(...list)))).json()).toEqual({ images: {}, patches: [] });
    expect(await metric(service, 'image_swapper_containers_total', { outcome: 'too-large' })).toBe(before + 500);
    expect((await ask(request(containers(nginx)))).json()).toMatchObject(swapped());
    expect((await ask(JSON.stringify({ kind: 'Pod', spec: { containers: list } }), '/v1/explain')).status).toBe(200);
  });

  it('also keeps Pods whose filters would never end', async () => {
    const env = Array.from({ length: 40_000 }, (_, n) => ({ name: `E${n}` }));
    const list = Array.from({ length: 400 }, (_, n) => ({ name: `c${n}`, image: 'nginx', ...(n === 0 && { env }) }));
    expect((await ask(request(containers(...list)))).json()).toEqual({ images: {}, patches: [] });
    await until('the log says so', () =>
      service.log.some(({ message, level }) => message === 'decided' && level === 'warn'),
    );
    expect((await ask(request(containers(nginx)))).json()).toMatchObject(swapped());
  });
});
