import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, it } from 'vitest';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { KNOWN_CALLER, World, admit, mirrors, pathOf, plainRegistry } from './world.js';
import { until } from '../../fakes/until.js';

let world: World;
let api: FakeApiServer;
let folder: string;

beforeEach(async () => {
  world = new World();
  api = await FakeApiServer.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
});
afterEach(async () => {
  await world.close();
  await api.close();
  await rm(folder, { recursive: true });
});

it('a copy with a rejected pull secret continues as soon as the Secret is valid', async () => {
  const auth = { type: 'basic', users: { puller: 'right' } } as const;
  const [source, target] = [await world.registry({ auth }), await world.registry()];
  const image = buildImage();
  loadImage(source, 'app', image, '1');
  const put = (password: string): void =>
    api.putPullSecret('team-a', 'pull', { [source.host]: { username: 'puller', password } });
  put('wrong');
  api.putServiceAccount('team-a', 'default', []);
  const service = await world.serve(
    {
      target: plainRegistry(target, { prefix: 'mirror' }),
      source: { registries: [plainRegistry(source)] },
      secretReader: { enabled: true },
      ...KNOWN_CALLER,
      // The fake API server does not support Leases, and this test does not need one.
      reconcile: { enabled: false },
    },
    { env: { KUBECONFIG: join(folder, 'kubeconfig') } },
  );
  await admit(
    service,
    { app: `${source.host}/app:1` },
    { namespace: 'team-a', spec: { imagePullSecrets: [{ name: 'pull' }] } },
  );
  await until('the copy fails', async () => (await mirrors(service)).some(({ state }) => state === 'failed'));
  put('right');
  await until(
    'the copy is there',
    () => target.manifest(`mirror/${pathOf(source, 'app')}`, '1')?.digest === image.digest,
  );
});
