import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { get } from '../../fakes/https-client.js';
import { until } from '../../fakes/until.js';
import { admit, metric, pathOf, plainRegistry, settled, World } from './world.js';

const image = buildImage();

let world: World;
let source: FakeRegistry;
let target: FakeRegistry;

beforeEach(async () => {
  world = new World();
  [source, target] = [await world.registry(), await world.registry()];
  loadImage(source, 'app', image, '1');
});
afterEach(async () => {
  await world.close();
});

function repository(): string {
  return `mirror/${pathOf(source, 'app')}`;
}

function config(more: object = {}): Record<string, unknown> {
  return {
    target: plainRegistry(target, { prefix: 'mirror' }),
    source: { registries: [plainRegistry(source)] },
    ...more,
  };
}

describe('imageCopyPolicy force', () => {
  it('restores a layer that the target reports but cannot return, before the Pod is swapped', async () => {
    loadImage(target, repository(), image, '1');
    const [lost] = image.blobs;
    target.fault({ method: 'GET', path: lost?.digest ?? '', times: 1, action: { type: 'truncate', after: 0 } });
    const service = await world.serve(config({ imageCopyPolicy: 'force', imageCopyDeadline: '20s' }));
    const name = `${source.host}/app:1`;
    expect(await admit(service, { web: name })).toEqual({ web: `${target.host}/${repository()}:1` });
    const uploads = target.accessLog.filter(({ method, query }) => method === 'PUT' && query.includes('digest='));
    expect(uploads.map(({ query }) => decodeURIComponent(query))).toEqual([
      expect.stringContaining(`digest=${lost?.digest ?? ''}`),
    ]);
    const repaired = (): Promise<number> =>
      metric(service, 'image_swapper_repaired_images_total', { target: 'default' });
    await until('the repair is counted', async () => (await repaired()) === 1);
    await until('the repair is logged', () => service.log.some(({ message }) => message.includes('was damaged')));
  });
});

describe('an SBOM that fails temporarily', () => {
  it('is listed as unfinished, and counted', async () => {
    const top = image.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const { manifest } = buildReferrer(top, 'application/spdx+json', 'sbom');
    source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
    source.fault({ method: 'GET', path: manifest.digest, action: { type: 'status', status: 503 } });
    const service = await world.serve(config());
    await admit(service, { web: `${source.host}/app:1` });
    await settled(service);
    await until('the tag', () => target.manifest(repository(), '1') !== undefined);
    const { mirrors } = (await get(`${service.operations}/v1/mirrors`)).json() as { mirrors: object[] };
    expect(mirrors).toMatchObject([{ state: 'done', unfinished: [`referrer ${manifest.digest}`] }]);
    const unfinished = (): Promise<number> =>
      metric(service, 'image_swapper_unfinished_referrers_total', { target: 'default' });
    await until('it is counted', async () => (await unfinished()) === 1);
  });
});
