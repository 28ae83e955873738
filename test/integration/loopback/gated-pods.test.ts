import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { ScriptedServer } from '../../fakes/scripted-server.js';
import { until } from '../../fakes/until.js';
import { useCli } from './cli.js';
import { admissionRequest, admit, metric, mirrors, plainRegistry, settled, World } from './world.js';

const world = new World();
let source: FakeRegistry;
let target: FakeRegistry;
let service: RunningService;

beforeAll(async () => {
  [source, target] = [await world.registry(), await world.registry()];
  loadImage(source, 'app', buildImage(), '1');
  loadImage(source, 'strict', buildImage(), '1');
  const gate = { minimumAge: '72h' };
  service = await world.serve({
    source: { registries: [plainRegistry(source)] },
    imageCopyFailure: 'deny',
    targets: [
      {
        ...{ name: 'strict', match: "obj.metadata.namespace == 'strict'", gate },
        imageCopyPolicy: 'immediate',
        ...plainRegistry(target, { prefix: 'strict' }),
      },
    ],
    target: { ...plainRegistry(target), gate },
  });
});
afterAll(() => world.close());

const writes = (): string[] => target.requests().filter((line) => !/^(?:GET|HEAD) /.test(line));

describe('a Pod whose image a gate holds', () => {
  it('keeps its source, and /v1/mirrors, explain and metrics say why and until when', async () => {
    const app = `${source.host}/app:1`;
    expect(await admit(service, { web: app })).toEqual({ web: app });
    await settled(service);
    const [row] = await mirrors(service);
    expect(row).toMatchObject({
      state: 'waiting',
      failure: { reason: 'gated', gate: { check: 'minimumAge', verdict: 'held' } },
    });
    expect(row?.failure?.message).toMatch(/^\S+: held by gate\.minimumAge until \d{4}-.*Z: it was first seen /);
    const asked = JSON.stringify({ image: app, namespace: 'team-a' });
    const explained = await post(`${service.url}/v1/explain?output=text`, asked, { ca: service.ca });
    expect(explained.text).toContain('held by gate.minimumAge until ');
    expect(explained.text).toContain('The target has a gate (minimumAge): ');
    expect(await metric(service, 'image_swapper_gated_images', { target: 'default', verdict: 'held' })).toBe(1);
    const labels = { target: 'default', check: 'minimumAge', verdict: 'held' };
    expect(await metric(service, 'image_swapper_gate_refusals_total', labels)).toBe(1);
    expect(await metric(service, 'image_swapper_queue_oldest_age_seconds')).toBe(0);
    expect(writes()).toEqual([]);
  });

  it('is refused with the reason under imageCopyFailure deny', async () => {
    const request = admissionRequest({ web: `${source.host}/strict:1` }, { namespace: 'strict' });
    const reply = await post(`${service.url}/v1/kyverno`, JSON.stringify({ request }), { ca: service.ca });
    expect(reply.status).toBe(502);
    expect(reply.text).toContain('held by gate.minimumAge until ');
    expect(writes()).toEqual([]);
    expect((await get(`${service.operations}/readyz`)).status).toBe(200);
  });
});

describe('a workload whose image a gate holds or denies', () => {
  it('has an Event with the check, the reason and the time, at the API server', async () => {
    const cluster = await FakeCluster.start();
    const webhook = await ScriptedServer.start(() => ({
      status: 200,
      body: { verdict: 'deny', reason: 'CVE-2026-1' },
    }));
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-gated-'));
    try {
      const [held, denied] = [`${source.host}/held:1`, `${source.host}/denied:1`];
      loadImage(source, 'held', buildImage({ seed: 7 }), '1');
      loadImage(source, 'denied', buildImage({ seed: 8 }), '1');
      const pods = cluster.collection('/api/v1/pods');
      pods.put(smallPod('young', held, 'team-a'));
      pods.put(smallPod('bad', denied, 'strict'));
      const kubeconfig = join(folder, 'kubeconfig');
      await writeFile(kubeconfig, cluster.kubeconfig());
      const gate = { webhook: { url: `${webhook.origin}/judge` } };
      const strict = { name: 'strict', match: "obj.metadata.namespace == 'strict'", gate };
      const config = {
        source: { registries: [plainRegistry(source)] },
        targets: [{ ...strict, ...plainRegistry(target, { prefix: 'events-strict' }) }],
        target: { ...plainRegistry(target, { prefix: 'events' }), gate: { minimumAge: '72h' } },
      };
      const leader = await world.serve(config, { env: { KUBECONFIG: kubeconfig, POD_NAME: 'leader' } });
      const seen = () =>
        cluster.events
          .filter(({ reason }) => reason.startsWith('Mirror'))
          .map(({ reason, type, message, involvedObject: { kind, namespace, name } }) => ({
            ...{ reason, type, message },
            object: `${kind} ${namespace}/${name}`,
          }))
          .sort((a, b) => (a.reason < b.reason ? -1 : 1));
      await until('both Events', () => seen().length >= 2);
      expect(seen()).toEqual([
        {
          reason: 'MirrorDenied',
          type: 'Warning',
          object: 'Pod strict/bad',
          message: expect.stringContaining('denied by gate.webhook: CVE-2026-1') as string,
        },
        {
          reason: 'MirrorHeld',
          type: 'Normal',
          object: 'Pod team-a/young',
          message: expect.stringMatching(/held by gate\.minimumAge until \d{4}-.*Z: it was first seen /) as string,
        },
      ]);
      expect(await metric(leader, 'image_swapper_gated_images', { target: 'strict', verdict: 'denied' })).toBe(1);
      expect(webhook.log).toHaveLength(1);
      expect(
        target.requests(({ path }) => path.includes('/events')).filter((line) => !/^(?:GET|HEAD) /.test(line)),
      ).toEqual([]);
    } finally {
      await Promise.all([cluster.close(), webhook.close(), rm(folder, { recursive: true })]);
    }
  });
});

describe('the command line', () => {
  const cli = useCli();
  let files: string;
  const gated = (gate: object): object => ({ ...plainRegistry(cli.target, { prefix: 'mirror' }), gate });

  beforeAll(async () => {
    files = await mkdtemp(join(tmpdir(), 'image-swapper-gated-'));
  });
  afterAll(() => rm(files, { recursive: true }));

  it('mirror and its dry run hold images that are too new, report that the age is not stored, and exit with 1', async () => {
    const args = ['mirror', '--config', await cli.config({ target: gated({ minimumAge: '72h' }) }), '-o', 'json'];
    for (const more of [[], ['--dry-run']]) {
      const ended = await cli.swapper([...args, ...more, `${cli.source.host}/app:1.0`]);
      expect(ended.code).toBe(1);
      const { images } = JSON.parse(ended.stdout) as { images: { state: string; detail: string }[] };
      expect(images).toMatchObject([{ state: 'held' }]);
      expect(images[0]?.detail).toContain('held by gate.minimumAge until ');
      expect(images[0]?.detail).toContain(
        'nothing keeps this time when the process ends: run it in the cluster, or set KUBECONFIG',
      );
    }
    expect(cli.target.manifest(cli.repository(), '1.0')).toBeUndefined();
  });

  it('check names the file, line and key of a CA file without a certificate', async () => {
    const bad = join(files, 'ca.pem');
    await writeFile(bad, 'no certificate');
    const gate = { webhook: { url: 'https://scanner.example.com/', caFile: bad } };
    const ended = await cli.swapper(['check', '--config', await cli.config({ target: gated(gate) })]);
    expect(ended.code).toBe(2);
    expect(ended.stderr + ended.stdout).toMatch(
      /:\d+:\d+: target\.gate\.webhook\.caFile: \S+ca\.pem holds no certificate: expected a PEM file with CA certificates/,
    );
    const missing = { webhook: { url: 'https://scanner.example.com/', caFile: join(files, 'none.pem') } };
    const absent = await cli.swapper(['mirror', '--config', await cli.config({ target: gated(missing) }), 'nginx']);
    expect(absent.code).toBe(2);
    expect(absent.stderr).toMatch(/target\.gate\.webhook\.caFile: \S+none\.pem cannot be used: /);
  });
});
