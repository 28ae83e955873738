import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { get } from '../../fakes/https-client.js';
import type { RunningService } from '../../fakes/service.js';
import { SteadyLoad } from './steady-load.js';
import { World, admissionRequest, metric, plainRegistry } from './world.js';
import { until } from '../../fakes/until.js';

/** Everything that can change during the life of a service changes while requests arrive at a steady rate. */

const KEPT = 4;
let world: World;
let folders: string[];
let first: Certificates;
let second: Certificates;

beforeEach(async () => {
  world = new World();
  folders = [];
  [first, second] = await Promise.all([
    makeCertificates({ hosts: ['127.0.0.1'] }),
    makeCertificates({ hosts: ['127.0.0.1'] }),
  ]);
});
afterEach(async () => {
  await world.close();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
});

/** A folder as the kubelet mounts ConfigMaps and Secrets: `file -> ..data/file`, `..data -> ..revision`. */
class MountedVolume {
  #revision = 0;
  private constructor(readonly folder: string) {}

  static async create(files: Readonly<Record<string, string>>): Promise<MountedVolume> {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-volume-'));
    folders.push(folder);
    const volume = new MountedVolume(folder);
    await volume.update(files);
    for (const name of Object.keys(files)) await symlink(join('..data', name), join(folder, name));
    return volume;
  }

  async update(files: Readonly<Record<string, string>>): Promise<void> {
    const revision = `..revision-${(this.#revision += 1)}`;
    await mkdir(join(this.folder, revision));
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.folder, revision, name), text);
    await symlink(revision, join(this.folder, '..data_tmp'));
    await rename(join(this.folder, '..data_tmp'), join(this.folder, '..data'));
  }

  file(name: string): string {
    return join(this.folder, name);
  }
}

interface Setting {
  readonly service: RunningService;
  readonly load: SteadyLoad;
  readonly configMap: MountedVolume;
  readonly tls: MountedVolume;
}

async function start(config: object, image: (n: number) => string): Promise<Setting> {
  const configMap = await MountedVolume.create({ 'image-swapper.yaml': stringify(config) });
  const tls = await MountedVolume.create({ 'tls.crt': first.cert, 'tls.key': first.key });
  const service = await world.serve(
    {},
    {
      plain: true,
      flags: [
        ...['--config', configMap.file('image-swapper.yaml')],
        ...['--tls-cert-file', tls.file('tls.crt'), '--tls-key-file', tls.file('tls.key')],
      ],
    },
  );
  const load = new SteadyLoad({
    url: `${service.url}/v1/kyverno`,
    ca: [first.ca, second.ca],
    body: (n) => JSON.stringify({ request: admissionRequest({ app: image(n) }) }),
    kept: KEPT,
    fresh: 1,
    pause: 50,
  });
  return { service, load, configMap, tls };
}

/** Checks that every request got a 200 and that no keep-alive connection was cut. */
async function expectNoFailures(load: SteadyLoad, service: RunningService): Promise<void> {
  await load.stop();
  expect(load.answers.filter(({ status, error }) => status !== 200 || error !== undefined)).toEqual([]);
  // This number of requests overlaps with the reload even on a busy machine.
  expect(load.answers.length).toBeGreaterThan(20);
  expect(load.keptPorts.size).toBe(KEPT);
  expect((await get(`${service.operations}/readyz`)).status).toBe(200);
}

const swaps = ({ answers }: SteadyLoad): boolean => answers.at(-1)?.text.includes('"replace"') === true;

function servedCertificate({ url }: RunningService): Promise<string> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), ca: [first.ca, second.ca] }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('under a steady load', () => {
  it('a configuration replaced through ..data takes effect, an invalid one does not, and no request is lost', async () => {
    const target = await world.registry();
    const config = { imageSwapPolicy: 'always', imageCopyPolicy: 'none', target: plainRegistry(target) };
    const { service, load, configMap } = await start(config, () => 'nginx');
    await until('Pods are swapped', () => swaps(load));

    const ready = new Set<number>();
    const look = setInterval(
      () =>
        void get(`${service.operations}/readyz`).then(
          ({ status }) => ready.add(status),
          () => ready.add(0),
        ),
      50,
    );
    const filtered = { ...config, source: { filters: [{ jmespath: "container.name == 'app'" }] } };
    await configMap.update({ 'image-swapper.yaml': stringify(filtered) });
    await until('the filter comes into force', () => !swaps(load));

    await configMap.update({ 'image-swapper.yaml': 'imageSwapPolicy: sometimes\n' });
    const failures = (): Promise<number> => metric(service, 'image_swapper_config_reload_failure_total');
    await until('the refusal is counted', async () => (await failures()) === 1);
    expect(service.log.filter(({ level }) => level === 'error')).toMatchObject([
      {
        message: 'configuration not reloaded; still using the previous one',
        err: expect.stringContaining('imageSwapPolicy') as unknown,
      },
    ]);
    expect(swaps(load)).toBe(false);

    await configMap.update({ 'image-swapper.yaml': stringify(config) });
    await until('the first configuration is back', () => swaps(load));
    clearInterval(look);
    expect(await metric(service, 'image_swapper_config_reload_success_total')).toBe(2);
    expect([...ready]).toEqual([200]);
    await expectNoFailures(load, service);
  });

  it('a certificate replaced through ..data is served to new connections, and old connections continue', async () => {
    const target = await world.registry();
    const { service, load, tls } = await start(
      { imageSwapPolicy: 'always', target: plainRegistry(target), imageCopyPolicy: 'none' },
      () => 'nginx',
    );
    const before = await servedCertificate(service);
    await tls.update({ 'tls.crt': second.cert, 'tls.key': second.key });
    await until('the new certificate is served', async () => (await servedCertificate(service)) !== before);
    await tls.update({ 'tls.crt': second.cert, 'tls.key': first.key });
    await until('the pair that does not fit is refused', () => service.log.some(({ level }) => level === 'error'));
    expect(await metric(service, 'image_swapper_tls_reloads_total', { outcome: 'failure' })).toBe(1);
    await expectNoFailures(load, service);
  });

  it('a rotated password is used within seconds, and until then Pods keep their images', async () => {
    const passwords = { reader: 'first-word' };
    const target = await world.registry({ auth: { type: 'basic', users: passwords } });
    const secret = await MountedVolume.create({ password: 'first-word' });
    const credentials = { username: 'reader', passwordFile: secret.file('password') };
    // Each request has a different image, so that the cache does not answer.
    const { service, load } = await start(
      { imageCopyPolicy: 'none', target: plainRegistry(target, { credentials }) },
      (n) => `quay.io/team/app-${n}:1`,
    );
    const lookups = (outcome: string): Promise<number> => metric(service, 'image_swapper_lookups_total', { outcome });
    await until('the target is asked', async () => (await lookups('absent')) > 5);
    passwords.reader = 'second-word';
    await until('the old password is refused', async () => (await lookups('unauthorized')) > 0);
    await secret.update({ password: 'second-word' });
    const refused = await lookups('absent');
    await until('the new password is used', async () => (await lookups('absent')) > refused + 5);
    expect(target.accessLog.filter(({ path }) => path.includes('/manifests/')).length).toBeGreaterThan(20);
    expect(JSON.stringify(service.log)).not.toMatch(/(?:first|second)-word/);
    await expectNoFailures(load, service);
  });
});
