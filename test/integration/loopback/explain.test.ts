import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { BUNDLE } from '../../fakes/service.js';
import type { RunningService } from '../../fakes/service.js';
import { World, admit, metric, mirrors, pathOf, plainRegistry, settled } from './world.js';

/** Asking a running service, which knows more than the configuration: its copies. */

let world: World;
let source: FakeRegistry;
let target: FakeRegistry;
let service: RunningService;

beforeEach(async () => {
  world = new World();
  [source, target] = await Promise.all([world.registry(), world.registry()]);
  loadImage(source, 'app', buildImage({ platforms: ['linux/amd64'] }), '1');
  service = await world.serve({
    source: { registries: [plainRegistry(source)] },
    target: plainRegistry(target),
  });
  await writeFile(join(service.folder, 'ca.crt'), service.ca);
});
afterEach(() => world.close());

const asked = (): string => `${source.host}/app:1`;

function explain(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BUNDLE, 'explain', ...args], { cwd: service.folder }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}
const fromService = (...args: string[]): ReturnType<typeof explain> =>
  explain(...args, '--server', service.url, '--ca-file', join(service.folder, 'ca.crt'));

describe('explain --server', () => {
  it("tells a copy's failure, its reason and the next try, as text and as JSON", async () => {
    source.fault({ path: '/manifests/', action: { type: 'status', status: 429, headers: { 'retry-after': '60' } } });
    await admit(service, { app: asked() });
    await settled(service);
    const { code, stdout } = await fromService(asked());
    expect(code).toBe(0);
    expect(stdout).toContain('The target does not have it.');
    expect(stdout).toMatch(/Its copy failed once and will be retried\.\n {2}The reason is throttled: .*manifests\/1/);
    expect(stdout).toMatch(/The next attempt is in \d+ s\./);
    const json = JSON.parse((await fromService(asked(), '-o', 'json')).stdout) as unknown;
    const [row] = await mirrors(service);
    expect(row).toMatchObject({ state: 'waiting' });
    const { state, failure } = row ?? {};
    expect(json).toMatchObject({
      containers: [{ copy: { state, failure, attempts: 1, nextTry: expect.any(Number) as unknown } }],
    });
    const text = await post(`${service.url}/v1/explain?output=text`, JSON.stringify({ image: asked() }), {
      ca: service.ca,
    });
    expect(text.headers['content-type']).toMatch(/^text\/plain/);
    expect(text.text.replace(/in \d+ s/, '')).toBe((await fromService(asked())).stdout.replace(/in \d+ s/, ''));
    // Asking starts nothing.
    expect(await mirrors(service)).toHaveLength(1);
    expect(await metric(service, 'image_swapper_containers_total')).toBe(1);
  });

  it('tells a finished copy, and a Pod of another namespace', async () => {
    await admit(service, { app: asked() });
    await settled(service);
    const pod = join(service.folder, 'pod.json');
    await writeFile(pod, JSON.stringify({ kind: 'Pod', spec: { containers: [{ name: 'app', image: asked() }] } }));
    const { stdout } = await fromService('-f', pod, '-n', 'team-b', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      namespace: 'team-b',
      containers: [{ swapped: true, result: `${target.host}/${pathOf(source, 'app')}:1`, copy: { state: 'done' } }],
    });
    expect((await fromService('-f', pod)).stdout).toMatch(/It was copied \d+ s ago\./);
  });

  it('says what is wrong with the address, the authority or the question', async () => {
    const away = `http://127.0.0.1:${new URL(target.origin).port}`;
    await target.close();
    expect(await explain(asked(), '--server', away)).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/v1\/explain: .*ECONNREFUSED/) as unknown,
    });
    expect(await explain(asked(), '--server', service.url)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('give --ca-file') as unknown,
    });
    expect(await explain(asked(), '--server', 'service')).toMatchObject({ code: 2 });
    expect(await fromService('-f', join(service.folder, 'ca.crt'))).toMatchObject({ code: 2 });
    expect(await explain(asked(), '--server', source.origin)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('404') as unknown,
    });
  });
});
