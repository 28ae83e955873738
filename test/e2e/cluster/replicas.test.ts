import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { get } from '../../fakes/https-client.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { createPods, images } from './crowd.js';
import { Front } from './front.js';
import { killReplicas } from './killing.js';
import type { ApiObject } from './kube-api.js';
import { overBudget, runOutages } from './outages.js';
import { NAMESPACE, pod, tryOut } from './pods.js';
import { Puller } from './puller.js';
import { Replicas } from './replicas.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('several replicas at a real API server');

/** A shorter version of `npm run test:soak`, which runs the same test for minutes. */
describe.skipIf(!available)('several replicas at a real API server', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await ControlPlane.start();
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  }, 180_000);
  afterAll(async () => plane?.stop(), 60_000);

  it('copy each of 100 images once for 1,000 Pods, and admit every Pod within the budget', async () => {
    const [source, target] = [await FakeRegistry.start(), await RealRegistry.start()];
    const replicas = await Replicas.start(plane, 3, { source: source.host, target: target.host, plain: false });
    const ports = replicas.running.map(({ service }) => Number(new URL(service.url).port));
    const front = await Front.start(...ports);
    const webhook = renderMutatingWebhook({
      url: `https://127.0.0.1:${front.port}`,
      caBundle: replicas.running.map(({ service }) => service.ca).join(''),
      targets: [`${target.host}/mirror/`],
      failClosed: true,
    }) as unknown as ApiObject;
    try {
      const wanted = images(source, source.host, 'many', 100, { layerSize: 2_000, layersPerPlatform: 1 });
      await plane.api.apply(webhook);
      const first = wanted[0]?.reference ?? '';
      // The API server applies a new webhook within a second or two.
      await until('the webhook is asked', async () => {
        await tryOut(plane.api, pod(first));
        return (await replicas.sum('image_swapper_resolve_requests_total', 'route="webhook"')) > 0;
      });
      const before = await replicas.sum('image_swapper_resolve_requests_total', 'route="webhook"');
      const started = performance.now();
      const references = Array.from({ length: 1_000 }, (_, index) => wanted[index % 100]?.reference ?? '');
      const created = await createPods(plane.api, references, 40);
      process.stderr.write(`1000 Pods admitted in ${((performance.now() - started) / 1_000).toFixed(1)} s\n`);
      expect(created).toHaveLength(1_000);
      expect((await replicas.sum('image_swapper_resolve_requests_total', 'route="webhook"')) - before).toBe(1_000);
      for (const { service } of replicas.running) {
        const { text } = await get(`${service.operations}/metrics`);
        expect(text).toMatch(/image_swapper_resolve_requests_total\{[^}]*route="webhook"[^}]*\} [1-9]/);
      }
      // The latency depends on the machine, not on the program: see npm run bench -- admission.
      process.stderr.write(`${await overBudget(replicas)} admissions took more than half a second\n`);

      await until('all are mirrored', () => Promise.resolve(tagPuts(target).size === 100));
      // By now, any repeated copy would have happened.
      await sleep(2_000);
      expect([...tagPuts(target).values()]).toEqual(Array.from({ length: 100 }, () => 1));
      expect(await replicas.sum('image_swapper_copy_jobs_total', 'outcome="copied"')).toBe(100);
      await until('a new Pod is swapped', async () => {
        const admission = await tryOut(plane.api, pod(first));
        return admission.admitted && admission.images['app']?.startsWith(`${target.host}/mirror/`) === true;
      });
    } finally {
      await plane.api.remove(webhook);
      await front.stop();
      await replicas.stop();
      await Promise.all([source.close(), target.stop()]);
    }
  }, 180_000);

  it('lose no copy and publish no partial image when they are killed during copies', async () => {
    const outcome = await killReplicas(plane, { images: 40, seconds: 20, rate: 40_000, layerSize: 60_000 });
    process.stderr.write(`${outcome}\n`);
  }, 240_000);

  it('copy everything after outages of the source, the target and the API server', async () => {
    const outcome = await runOutages(plane, { seconds: 8, images: 10, patience: 60 });
    process.stderr.write(`${outcome}\n`);
  }, 240_000);

  it('hand over when the leader stops: running copies finish and the next leader makes the others', async () => {
    const [source, target] = [await FakeRegistry.start(), await RealRegistry.start()];
    const wanted = images(source, source.host, 'grace', 16, { layerSize: 60_000 });
    source.fault({ method: 'GET', path: '/blobs/', action: { type: 'slow', bytesPerSecond: 40_000 } });
    const replicas = await Replicas.start(plane, 2, { source: source.host, target: target.host });
    const puller = new Puller(
      target.host,
      wanted.map(({ repository }) => repository),
    );
    try {
      puller.start();
      await createPods(
        plane.api,
        wanted.map(({ reference }) => reference),
      );
      const first = await replicas.leader();
      await until('a first image', () => Promise.resolve(puller.pulled.size > 0));
      const ending = replicas.end(first, 'SIGTERM');
      const states: number[] = [];
      const watching = (async () => {
        for (;;) {
          const reply = await get(`${first.service.operations}/readyz`).catch(() => undefined);
          if (reply === undefined) return;
          states.push(reply.status);
          await sleep(50);
        }
      })();
      const { code } = await ending;
      const ended = performance.now();
      await watching;
      await replicas.leader();
      const takenOver = performance.now() - ended;
      process.stderr.write(`taken over ${takenOver.toFixed(0)} ms after the end\n`);
      expect(code).toBe(0);
      // The Lease of a silent leader expires six seconds after its last renewal at the earliest.
      expect(takenOver).toBeLessThan(5_000);
      expect(states.filter((status) => status === 503).length).toBeGreaterThan(2);
      expect(states.lastIndexOf(200)).toBeLessThan(states.indexOf(503));
      const handedBack = first.service.log.find(({ message }) => message.includes('copies returned to the queue'));
      expect(handedBack?.message).toMatch(/^[1-9]\d* copies returned to the queue/);
      await puller.complete(60, () => replicas.lastLogLines());
      expect(puller.broken).toEqual([]);
      expect(wanted.map(({ repository }) => puller.pulled.get(repository))).toEqual(wanted.map(({ digest }) => digest));
      // Running copies were finished, so nothing was copied twice.
      expect([...tagPuts(target).values()]).toEqual(wanted.map(() => 1));
      // The Event of the last image is written after its tag.
      await until('each image has an Event', async () => {
        const { body } = await plane.api.send('GET', `/api/v1/namespaces/${NAMESPACE}/events`);
        const events = (body as { readonly items: readonly { readonly reason: string; readonly message: string }[] })
          .items;
        const messages = events.filter(({ reason }) => reason === 'Mirrored').map(({ message }) => message);
        return wanted.every(({ reference }) => messages.some((message) => message.includes(reference)));
      });
    } finally {
      await puller.stop();
      await replicas.stop();
      await Promise.all([source.close(), target.stop()]);
    }
  }, 180_000);
});

/** Returns the finished PUTs of each tag `1` from the registry's log. */
function tagPuts(registry: RealRegistry): ReadonlyMap<string, number> {
  const puts = new Map<string, number>();
  for (const { method, path, status } of registry.accessLog()) {
    const [, repository] = /^\/v2\/(.+)\/manifests\/1$/.exec(path) ?? [];
    if (method === 'PUT' && status === 201 && repository !== undefined) {
      puts.set(repository, (puts.get(repository) ?? 0) + 1);
    }
  }
  return puts;
}
