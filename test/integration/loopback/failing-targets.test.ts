import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { World, admit, metric, mirrors, pathOf, plainRegistry, settled } from './world.js';
import { until } from '../../fakes/until.js';

/** Effects of a target that refuses, throttles, is down or hangs on Pods, metrics and explanations. */

let world: World;
let source: FakeRegistry;
let target: FakeRegistry;
let image: BuiltImage;

beforeEach(async () => {
  world = new World();
  [source, target] = await Promise.all([world.registry(), world.registry()]);
  image = buildImage({ platforms: ['linux/amd64'], layerSize: 1_000 });
});
afterEach(() => world.close());

const sources = (): object => ({ registries: [plainRegistry(source)] });
const images = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, `${source.host}/${name}:1`]));
const place = (name: string): string => `${target.host}/${pathOf(source, name)}:1`;
const numbered = (count: number, first = 0): string[] => Array.from({ length: count }, (_, n) => `a${first + n}`);

interface Explained {
  readonly name: string;
  readonly existence: { readonly state: string; readonly reason?: string; readonly message?: string };
}

async function explain(service: RunningService, asked: Record<string, string>): Promise<readonly Explained[]> {
  const spec = { containers: Object.entries(asked).map(([name, image]) => ({ name, image })) };
  const reply = await post(`${service.url}/v1/explain`, JSON.stringify({ kind: 'Pod', spec }), { ca: service.ca });
  return (reply.json() as { containers: Explained[] }).containers;
}

describe('absent, forbidden, throttled and unreachable', () => {
  it('do not change the Pod, and are distinguished in metrics, the log and explanations', async () => {
    const [forbidden, throttled, gone] = await Promise.all([world.registry(), world.registry(), world.registry()]);
    forbidden.fault({ path: '/manifests/', action: { type: 'status', status: 403 } });
    throttled.fault({ path: '/manifests/', action: { type: 'status', status: 429 } });
    await gone.close();
    const all = { absent: target, forbidden, throttled, unreachable: gone };
    const service = await world.serve({
      source: sources(),
      imageCopyPolicy: 'none',
      targets: Object.entries(all).map(([name, registry]) => ({
        name,
        match: `container.name == '${name}'`,
        ...plainRegistry(registry),
      })),
    });
    const asked = images(...Object.keys(all));
    const counted = async (outcome: string): Promise<boolean> =>
      (await metric(service, 'image_swapper_lookups_total', { target: outcome, outcome })) > 0;
    // On a busy machine, a lookup may end after the response for the Pod.
    await until('each outcome is counted', async () => {
      expect(await admit(service, asked)).toEqual(asked);
      return (await Promise.all(Object.keys(all).map(counted))).every(Boolean);
    });
    const warned = () =>
      service.log
        .filter(({ message }) => message === 'target lookup failed')
        .map(({ level, target: name, reason }) => [level, name, reason].join());
    const failures = ['forbidden', 'throttled', 'unreachable'].map((reason) => ['warn', reason, reason].join());
    await until('the three failures are logged', () => failures.every((line) => warned().includes(line)));
    let explained: readonly Explained[] = [];
    await until('each is explained', async () => {
      explained = await explain(service, asked);
      const reasons = explained.map(({ existence: { state, reason } }) => reason ?? state);
      return reasons.join() === Object.keys(all).join();
    });
    for (const { name, existence } of explained) {
      if (existence.state === 'unknown') expect(existence.message).toContain(all[name as keyof typeof all].host);
    }
  });
});

describe('a target that stops answering', () => {
  it('is not queried for some time, while Pods keep their images, and is used again after recovery', async () => {
    const service = await world.serve({ source: sources(), imageCopyPolicy: 'none', target: plainRegistry(target) });
    for (const name of ['a0', 'later']) loadImage(target, pathOf(source, name), image, '1');
    await until('the target is used', async () => (await admit(service, images('a0')))['a0'] === place('a0'));

    const port = Number(new URL(target.origin).port);
    await target.close();
    for (const name of numbered(3, 1)) expect(await admit(service, images(name))).toEqual(images(name));
    const lookups = (outcome: string): Promise<number> => metric(service, 'image_swapper_lookups_total', { outcome });
    // On a busy machine, a lookup may fail after its Pod's budget.
    expect((await lookups('unreachable')) + (await lookups('timeout'))).toBe(3);
    await until('Pods are answered without a lookup', async () => {
      expect(await admit(service, images('later'))).toEqual(images('later'));
      return (await lookups('breaker-open')) > 0;
    });
    // Each failed lookup opens the circuit breaker for five seconds.
    await until('it is explained', async () => {
      const [told] = await explain(service, images('later'));
      return told?.existence.state === 'unknown' && told.existence.reason === 'breaker-open';
    });

    target = await world.registry({ port });
    loadImage(target, pathOf(source, 'later'), image, '1');
    await until('the target is used', async () => (await admit(service, images('later')))['later'] === place('later'));
  });

  it('does not prevent swaps under always', async () => {
    const service = await world.serve({
      source: sources(),
      imageSwapPolicy: 'always',
      imageCopyPolicy: 'none',
      target: plainRegistry(target),
    });
    await target.close();
    for (const name of numbered(5)) expect(await admit(service, images(name))).toEqual({ [name]: place(name) });
  });

  it('and hangs delays each Pod by one budget, whatever the number of containers, and then by nothing', async () => {
    target.fault({ path: '/manifests/', action: { type: 'hang' } });
    const service = await world.serve({
      source: sources(),
      imageCopyPolicy: 'none',
      answerBudget: '600ms',
      target: plainRegistry(target),
    });
    const many = images(...numbered(60));
    const started = performance.now();
    expect(await admit(service, many)).toEqual(many);
    const first = performance.now() - started;
    expect(first).toBeGreaterThan(500);
    // Sequential lookups would take 36 seconds.
    expect(first).toBeLessThan(35_000);
    expect(await metric(service, 'image_swapper_lookups_total', { outcome: 'timeout' })).toBe(60);
    const skipped = (): Promise<number> => metric(service, 'image_swapper_lookups_total', { outcome: 'breaker-open' });
    let count = 0;
    await until('a Pod is answered without a lookup', async () => {
      const next = images(`next-${++count}`);
      expect(await admit(service, next)).toEqual(next);
      return (await skipped()) > 0;
    });
    expect(await skipped()).toBe(1);
    expect(target.accessLog.filter(({ path }) => path.includes(`/next-${count}/`))).toEqual([]);
  });
});

describe('imageCopyPolicy immediate', () => {
  it('waits for the deadline once, whatever the number of containers, and swaps what arrived by then', async () => {
    const other = await world.registry();
    loadImage(other, 'quick', image, '1');
    for (const name of numbered(4)) loadImage(source, name, buildImage({ seed: 2 + Number(name.slice(1)) }), '1');
    source.fault({ path: /\/a\d\/blobs\//, action: { type: 'hang' } });
    const service = await world.serve({
      source: { registries: [plainRegistry(source), plainRegistry(other)] },
      imageCopyPolicy: 'immediate',
      imageCopyDeadline: '15s',
      mirror: { concurrency: 8 },
      target: plainRegistry(target),
    });
    const asked = { ...images(...numbered(4)), quick: `${other.host}/quick:1` };
    const started = performance.now();
    expect(await admit(service, asked)).toEqual({
      ...asked,
      quick: `${target.host}/${pathOf(other, 'quick')}:1`,
    });
    // Sequential waits would take 60 seconds.
    expect(performance.now() - started).toBeLessThan(58_000);
  });
});

describe('dry runs', () => {
  const policies = [
    { imageCopyPolicy: 'delayed' },
    { imageCopyPolicy: 'immediate' },
    { imageCopyPolicy: 'force', imageSwapPolicy: 'always' },
    { imageCopyPolicy: 'force' },
  ] as const;

  describe.each([
    [true, [0, 1, 2]],
    [false, [1, 3]],
  ] as const)('of the configuration: %j', (configured, chosen) => {
    const shared = new World();
    const sourceOf = new Map<number, FakeRegistry>();
    const targetOf = new Map<number, FakeRegistry>();
    let service: RunningService;

    beforeAll(async () => {
      for (const index of chosen) {
        sourceOf.set(index, await shared.registry());
        targetOf.set(index, await shared.registry());
      }
      service = await shared.serve({
        source: { registries: [...sourceOf.values()].map((registry) => plainRegistry(registry)) },
        dryRun: configured,
        imageCopyFailure: 'deny',
        targets: [...targetOf].map(([index, registry]) => ({
          name: `target-${index}`,
          match: `obj.metadata.namespace == 'team-${index}'`,
          ...plainRegistry(registry),
          ...policies[index],
        })),
      });
    });
    afterAll(() => shared.close());

    it.each(chosen.map((index) => [policies[index], index] as const))(
      'under %j, only look up images',
      async (_policies, index) => {
        [source, target] = [sourceOf.get(index) ?? source, targetOf.get(index) ?? target];
        const namespace = `team-${index}`;
        loadImage(source, 'app', image, '1');
        loadImage(target, pathOf(source, 'there'), image, '1');
        const asked = images('app', 'there');
        const expected = configured ? asked : { ...asked, there: place('there') };
        await until('the Pod is answered as it should be', async () => {
          const answered = await admit(service, asked, { namespace, dryRun: !configured });
          return JSON.stringify(answered) === JSON.stringify(expected);
        });
        await sleep(300);
        const copies = (await mirrors(service)).filter((row) => row.source.startsWith(source.host));
        expect(copies).toEqual([]);
        expect(source.accessLog).toEqual([]);
        // Content that HEAD does not find is requested once by GET.
        const looks = ({ method, path, status }: { method: string; path: string; status: number }): boolean =>
          method === 'HEAD' || path === '/v2/' || (method === 'GET' && path.includes('/manifests/') && status === 404);
        expect(target.accessLog.filter((entry) => !looks(entry))).toEqual([]);
        expect(target.repositories()).toEqual([pathOf(source, 'there')]);
        if (!configured) {
          // Only the dry run does not start a copy. The same Pod without a dry run does.
          loadImage(source, 'there', image, '1');
          await admit(service, asked, { namespace });
          await settled(service);
          expect(target.manifest(pathOf(source, 'app'), '1')?.digest).toBe(image.digest);
        }
      },
    );
  });
});
