import { tmpdir } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../fakes/free-port.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runHere, runProgram } from '../../fakes/program.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { LogLine, RunningService } from '../../fakes/service.js';
import { KNOWN_CALLER, World, admit, metric, mirrors, pathOf, plainRegistry, settled } from './world.js';
import { until } from '../../fakes/until.js';

/** Information for operators: decisions in the log, requests in metrics, and the queue as a table. */

let world: World;
let source: FakeRegistry;
let target: FakeRegistry;

beforeEach(async () => {
  world = new World();
  [source, target] = await Promise.all([world.registry(), world.registry()]);
});
afterEach(() => world.close());

function serve(more: Record<string, unknown> = {}, ...others: FakeRegistry[]): Promise<RunningService> {
  const registries = [source, ...others].map((registry) => plainRegistry(registry));
  return world.serve({ source: { registries }, target: plainRegistry(target), ...more }, { plain: true });
}
const load = (...names: string[]): void =>
  names.forEach((name, seed) =>
    loadImage(source, name, buildImage({ platforms: ['linux/amd64'], seed: seed + 1 }), '1'),
  );
const images = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, `${source.host}/${name}:1`]));
const numbered = (count: number, prefix = 'a'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const lines = ({ log }: RunningService, message: string | RegExp): LogLine[] =>
  log.filter((line) => (typeof message === 'string' ? line.message === message : message.test(line.message)));

describe('a decision', () => {
  let service: RunningService;
  let ownSource: FakeRegistry;
  let ownTarget: FakeRegistry;
  const shared = new World();

  beforeAll(async () => {
    [ownSource, ownTarget] = await Promise.all([shared.registry(), shared.registry()]);
    const waiting = { name: 'waiting', match: "obj.metadata.namespace == 'waits'", imageCopyPolicy: 'immediate' };
    const config = {
      source: { registries: [plainRegistry(ownSource)] },
      imageCopyPolicy: 'none',
      imageCopyFailure: 'deny',
      targets: [{ ...waiting, ...plainRegistry(ownTarget, { prefix: 'waiting' }) }],
      target: plainRegistry(ownTarget, { prefix: 'mirror' }),
    };
    service = await shared.serve(config, { plain: true });
  });
  beforeEach(() => {
    [source, target] = [ownSource, ownTarget];
  });
  afterAll(() => shared.close());

  const decided = (namespace: string): LogLine[] =>
    lines(service, 'decided').filter((line) => line['namespace'] === namespace);

  it('is a log line with the uid of the AdmissionReview, the Pod, each container and the duration', async () => {
    load('there');
    loadImage(target, `mirror/${pathOf(source, 'there')}`, buildImage(), '1');
    const uid = '705ab4f5-6393-11e8-b7cc-42010a800002';
    const containers = [
      { name: 'web', image: `${source.host}/there:1`, env: [{ name: 'PASSWORD', value: 'hunter2' }] },
      { name: 'sidecar', image: `${source.host}/not-there:1` },
    ];
    const object = { kind: 'Pod', metadata: { generateName: 'web-7f9c-' }, spec: { containers } };
    const request = { uid, operation: 'CREATE', namespace: 'team-a', kind: { kind: 'Pod' }, object };
    const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
    // On a busy machine, a target lookup may take longer than the budget.
    await until('a decision that knows the target', async () => {
      const reply = await post(`${service.url}/webhook`, JSON.stringify(review));
      expect(reply.json()).toMatchObject({ response: { uid, allowed: true } });
      const line = JSON.stringify(decided('team-a').at(-1) ?? {});
      return line.includes('"present"') && line.includes('"absent"');
    });
    expect(decided('team-a').slice(-1)).toEqual([
      {
        level: 'info',
        time: expect.any(String) as unknown,
        message: 'decided',
        route: 'webhook',
        uid,
        namespace: 'team-a',
        pod: 'web-7f9c-',
        milliseconds: expect.any(Number) as unknown,
        containers: [
          {
            name: 'web',
            image: `${source.host}/there:1`,
            outcome: 'swapped',
            reason: 'target default',
            swappedTo: `${target.host}/mirror/${pathOf(source, 'there')}:1`,
            inTarget: 'present',
          },
          {
            name: 'sidecar',
            image: `${source.host}/not-there:1`,
            outcome: 'kept',
            reason: 'target default',
            inTarget: 'absent',
          },
        ],
      },
    ]);
  });

  it('is reported when a copy failed while the Pod waited, even if no image changed', async () => {
    const body = { request: { uid: 'u1', operation: 'CREATE', namespace: 'waits', object: podOf(images('missing')) } };
    expect((await post(`${service.url}/v1/kyverno`, JSON.stringify(body))).status).toBe(502);
    await until('the line', () => decided('waits').length > 0);
    expect(decided('waits')).toMatchObject([
      {
        level: 'info',
        uid: 'u1',
        denied: 'missing',
        reason: 'absent',
        containers: [{ outcome: 'kept', copy: 'failed' }],
      },
    ]);
  });
});

function podOf(asked: Record<string, string>): object {
  return { kind: 'Pod', spec: { containers: Object.entries(asked).map(([name, image]) => ({ name, image })) } };
}

describe('requests to registries', () => {
  it('are counted as the registries received them, including those of the background worker', async () => {
    load('app', 'other');
    source.fault({
      path: '/app/manifests/',
      action: { type: 'header', name: 'RateLimit-Remaining', value: '76;w=21600' },
    });
    const service = await serve();
    await admit(service, images('app', 'other'));
    await settled(service);
    const counted = (registry: FakeRegistry, action: string): Promise<number> =>
      metric(service, 'image_swapper_registry_requests_total', { registry: registry.host, action });
    const seen = (registry: FakeRegistry, method: string, path: RegExp): number =>
      registry.accessLog.filter((entry) => entry.method === method && path.test(entry.path)).length;
    // The thread reports once a second. The last request of a copy is a manifest.
    await until('the thread has reported all', async () => {
      const manifests = seen(target, 'PUT', /\/manifests\//);
      return manifests > 0 && (await counted(target, 'put-manifest')) === manifests;
    });
    for (const registry of [source, target]) {
      for (const [action, method, path] of [
        ['head-manifest', 'HEAD', /\/manifests\//],
        ['get-manifest', 'GET', /\/manifests\//],
        ['put-manifest', 'PUT', /\/manifests\//],
        ['head-blob', 'HEAD', /\/blobs\//],
        ['get-blob', 'GET', /\/blobs\//],
        ['start-upload', 'POST', /\/blobs\/uploads/],
        ['send-upload', 'PUT', /\/blobs\/uploads/],
      ] as const) {
        expect([registry.host, action, await counted(registry, action)]).toEqual([
          registry.host,
          action,
          seen(registry, method, path),
        ]);
      }
    }
    expect(await metric(service, 'image_swapper_ratelimit_remaining', { registry: source.host })).toBe(76);
    // The index is also read, but does not count.
    const index = source.manifest('app', '1')?.digest ?? '';
    const read = seen(source, 'GET', /\/app\/manifests\/sha256:/);
    const pulls = read - seen(source, 'GET', new RegExp(`/app/manifests/${index}$`));
    expect([pulls > 0, pulls < read]).toEqual([true, true]);
    expect(await metric(service, 'image_swapper_registry_pulls_total', { registry: source.host })).toBe(pulls);
  });

  it('are distinguished if they are throttled or unanswered', async () => {
    const gone = await world.registry();
    source.fault({ path: '/manifests/', action: { type: 'status', status: 429, headers: { 'retry-after': '60' } } });
    const service = await serve({}, gone);
    await gone.close();
    await admit(service, { busy: `${source.host}/busy:1`, gone: `${gone.host}/gone:1` });
    const value = (name: string, registry: FakeRegistry, code?: string): Promise<number> =>
      metric(service, name, { registry: registry.host, ...(code !== undefined && { code }) });
    await until('the 429 is counted', async () => (await value('image_swapper_registry_throttled_total', source)) > 0);
    await until(
      'the silence is counted',
      async () => (await value('image_swapper_registry_requests_total', gone, 'error')) > 0,
    );
  });
});

describe('labels', () => {
  it('are limited, whatever Pods name', async () => {
    const service = await serve();
    const hostile = (batch: string): Record<string, string> =>
      Object.fromEntries(
        numbered(60, batch).flatMap((name, n) => [
          [`${name}-host`, `127.0.0.${2 + n}:${2000 + n}/${name}/hostile-image:1`],
          [`${name}-label`, `${name}"} 1\nhostile_metric{x="`],
          [`${name}-image`, `${source.host}/${name}/hostile-image@sha256:${'0'.repeat(64)}`],
        ]),
      );
    const series = async (): Promise<string[]> => {
      const { text } = await get(`${service.operations}/metrics`);
      return text.split('\n').filter((line) => line.startsWith('image_swapper_'));
    };
    const ended = async (count: number): Promise<void> =>
      until(
        'the copies end',
        async () => (await mirrors(service)).filter(({ state }) => state === 'failed').length >= count,
      );
    await admit(service, hostile('batch-one'), { namespace: 'hostile-namespace' });
    await ended(120);
    await until('the thread has reported', async () => (await series()).some((line) => line.includes('"other"')));
    const before = (await series()).map((line) => line.slice(0, line.lastIndexOf(' ')));
    await admit(service, hostile('batch-two'), { namespace: 'hostile-other' });
    await ended(240);
    await until('all are counted', async () => (await metric(service, 'image_swapper_copy_jobs_total')) >= 240);
    const after = (await series()).map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(after.join('\n')).not.toMatch(/hostile|127\.0\.0\.[2-9]|batch/);
    expect(after.length).toBeLessThan(200);
    // The outcome of a target lookup depends on timing here.
    const timed = (line: string): boolean => line.startsWith('image_swapper_lookup');
    expect(after.filter((line) => !timed(line) && !before.includes(line))).toEqual([]);
  });
});

describe('the log', () => {
  it.each([
    ['is away', 3, async () => source.close()],
    [
      'answers 429',
      3,
      async () => source.fault({ action: { type: 'status', status: 429, headers: { 'retry-after': '1' } } }),
    ],
    // A 503 does not mean that the registry is down, so each image is tried separately.
    ['answers 503', 9, async () => source.fault({ action: { type: 'status', status: 503 } })],
  ] as const)('has few lines while a source registry %s, and each Pod is admitted', async (_what, failures, damage) => {
    load(...numbered(30));
    const service = await serve(KNOWN_CALLER);
    await damage();
    for (const name of numbered(30)) expect(await admit(service, images(name))).toEqual(images(name));
    await until('copies have failed', async () => (await metric(service, 'image_swapper_copy_jobs_total')) >= failures);
    const warned = service.log.filter(({ level }) => level === 'warn' || level === 'error');
    expect(warned.length).toBeGreaterThan(0);
    expect(warned.length).toBeLessThanOrEqual(3);
    expect(service.log.length).toBeLessThan(10);
    expect(warned[0]).toMatchObject({ host: source.host });
  });
});

describe('image-swapper status', () => {
  const status = (...args: string[]) => runHere(['status', ...args], { env: {}, cwd: tmpdir() });
  const spawned = (...args: string[]) => runProgram(['status', ...args], {});

  it('shows failures and reasons, waiting copies and times, and exits with 1', async () => {
    load('app');
    const busy = await world.registry();
    busy.fault({ path: '/manifests/', action: { type: 'status', status: 429, headers: { 'retry-after': '60' } } });
    const service = await serve({}, busy);
    await admit(service, { ...images('app', 'missing'), busy: `${busy.host}/busy:1`, late: `${busy.host}/late:1` });
    await settled(service);
    const { code, stdout, stderr } = await spawned('--server', service.operations);
    expect([code, stderr]).toEqual([1, '']);
    const [counts, , header, ...rows] = stdout.trimEnd().split('\n');
    expect(counts).toBe('0 running, 0 queued, 2 waiting, 1 failed, 1 done');
    expect(header).toMatch(/^STATE +IMAGE +TARGET +DETAIL$/);
    expect(rows.map((row) => row.replace(/\s+/g, ' ')).sort()).toEqual([
      expect.stringMatching(
        `^failed ${source.host}/missing:1 default absent after 1 try, retried on request in \\d+ s: .*missing`,
      ),
      expect.stringMatching(
        `^waiting ${busy.host}/busy:1 default waiting for ${busy.host} \\(throttled\\), next attempt in \\d+ s: `,
      ),
      expect.stringMatching(
        `^waiting ${busy.host}/late:1 default waiting for ${busy.host} \\(throttled\\), next attempt in \\d+ s: `,
      ),
    ]);
    const all = await status('--server', service.operations, '--all');
    expect(all.stdout).toMatch(new RegExp(`\ndone +${source.host}/app:1 +default +sha256:[0-9a-f]{12}, \\d+ s ago`));
  });

  it('prints the answer of /v1/mirrors as JSON and YAML, and exits with 0 without failures', async () => {
    load('app');
    const service = await serve();
    const none = await spawned('--server', service.operations);
    expect([none.code, none.stdout]).toEqual([0, '0 running, 0 queued, 0 waiting, 0 failed, 0 done\n']);
    await admit(service, images('app'));
    await settled(service);
    const answer = (await get(`${service.operations}/v1/mirrors`)).json();
    const json = await status('--server', `${service.operations}/`, '-o', 'json');
    expect([json.code, JSON.parse(json.stdout)]).toEqual([0, answer]);
    expect((await status('--server', service.operations, '-o', 'yaml')).stdout).toContain(
      `source: ${source.host}/app:1`,
    );
  });

  it('exits with 3 and explains how to reach a service when there is none, and with 2 without a URL', async () => {
    const unusedUrl = `http://127.0.0.1:${await freePort()}`;
    const { code, stderr, stdout } = await spawned('--server', unusedUrl);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toContain(`${unusedUrl}/v1/mirrors`);
    expect(stderr).toContain('kubectl -n image-swapper port-forward');
    const other = await status('--server', source.origin);
    expect([other.code, other.stderr]).toEqual([3, expect.stringContaining('not a response of image-swapper')]);
    expect((await status('--server', 'localhost')).code).toBe(2);
  });
});
