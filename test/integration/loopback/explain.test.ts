import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../fakes/free-port.js';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runHere, runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { World, admit, metric, mirrors, pathOf, plainRegistry, settled } from './world.js';
import type { MirrorRow } from './world.js';

/** `explain` with a running service, which also knows its copies. */

const world = new World();
let source: FakeRegistry;
let throttled: FakeRegistry;
let target: FakeRegistry;
let service: RunningService;

beforeAll(async () => {
  [source, throttled, target] = await Promise.all([world.registry(), world.registry(), world.registry()]);
  loadImage(source, 'app', buildImage({ platforms: ['linux/amd64'] }), '1');
  service = await world.serve({
    source: { registries: [plainRegistry(source), plainRegistry(throttled)] },
    target: plainRegistry(target),
  });
  await writeFile(join(service.folder, 'ca.crt'), service.ca);
});
afterAll(() => world.close());

const asked = (registry = source): string => `${registry.host}/app:1`;
const ask = async (image: string): Promise<MirrorRow | undefined> => {
  await admit(service, { app: image });
  await settled(service);
  return (await mirrors(service)).find((row) => row.source === image);
};

const explain = (...args: string[]): Promise<ProgramResult> =>
  runHere(['explain', ...args], { env: {}, cwd: service.folder });
const addressed = (): string[] => ['--server', service.url, '--ca-file', join(service.folder, 'ca.crt')];
const fromService = (...args: string[]): Promise<ProgramResult> => explain(...args, ...addressed());

describe('explain --server', () => {
  it("reports a copy's failure, its reason and the next try, as text and as JSON", async () => {
    throttled.fault({ path: '/manifests/', action: { type: 'status', status: 429, headers: { 'retry-after': '60' } } });
    const image = asked(throttled);
    const row = await ask(image);
    const known = (await mirrors(service)).length;
    const containers = await metric(service, 'image_swapper_containers_total');
    expect(containers).toBeGreaterThan(0);
    const { code, stdout } = await runProgram(['explain', image, ...addressed()], {});
    expect(code).toBe(0);
    expect(stdout).toContain('The target does not have it.');
    expect(stdout).toMatch(/Its copy failed once and will be retried\.\n {2}The reason is throttled: .*manifests\/1/);
    expect(stdout).toMatch(/The next attempt is in \d+ s\./);
    const json = JSON.parse((await fromService(image, '-o', 'json')).stdout) as unknown;
    expect(row).toMatchObject({ state: 'waiting' });
    const { state, failure } = row ?? {};
    expect(json).toMatchObject({
      containers: [{ copy: { state, failure, attempts: 1, nextTry: expect.any(Number) as unknown } }],
    });
    const text = await post(`${service.url}/v1/explain?output=text`, JSON.stringify({ image }), {
      ca: service.ca,
    });
    expect(text.headers['content-type']).toMatch(/^text\/plain/);
    expect(text.text.replace(/in \d+ s/, '')).toBe((await fromService(image)).stdout.replace(/in \d+ s/, ''));
    // A request for an explanation does not start a copy.
    expect(await mirrors(service)).toHaveLength(known);
    expect(await metric(service, 'image_swapper_containers_total')).toBe(containers);
  });

  it('reports a finished copy, and a Pod of another namespace', async () => {
    await ask(asked());
    const pod = join(service.folder, 'pod.json');
    await writeFile(pod, JSON.stringify({ kind: 'Pod', spec: { containers: [{ name: 'app', image: asked() }] } }));
    const { stdout } = await fromService('-f', pod, '-n', 'team-b', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      namespace: 'team-b',
      containers: [{ swapped: true, result: `${target.host}/${pathOf(source, 'app')}:1`, copy: { state: 'done' } }],
    });
    expect((await fromService('-f', pod)).stdout).toMatch(/It was copied \d+ s ago\./);
  });

  it('reports what is wrong with the address, the CA certificate or the request', async () => {
    const away = `http://127.0.0.1:${await freePort()}`;
    expect(await explain(asked(), '--server', away)).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/v1\/explain: .*ECONNREFUSED/) as unknown,
    });
    expect(await runProgram(['explain', asked(), '--server', service.url], {})).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('set --ca-file') as unknown,
    });
    expect(await explain(asked(), '--server', 'service')).toMatchObject({ code: 2 });
    expect(await fromService('-f', join(service.folder, 'ca.crt'))).toMatchObject({ code: 2 });
    expect(await explain(asked(), '--server', source.origin)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('404') as unknown,
    });
  });
});
