import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { makeCertificates } from '../../fakes/certificates.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';

/** Files that the configuration names, or that the environment does, come into force like the configuration itself. */

const image = buildImage({ layerSize: 1_000 });
let folder: string;
let source: FakeRegistry;
let cleanups: (() => unknown)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-named-'));
  source = await FakeRegistry.start();
  loadImage(source, 'app', image, '1');
  cleanups = [() => source.close(), () => rm(folder, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function serve(target: object, env: Record<string, string> = {}, from?: object): Promise<RunningService> {
  const registries = [{ type: 'oci', oci: from ?? { registry: source.host, insecure: true } }];
  const config = stringify({ target: { type: 'oci', oci: target }, source: { registries } });
  const service = await RunningService.start({ plain: true, config, env });
  cleanups.push(() => service.stop('SIGKILL'));
  return service;
}

async function admit(service: RunningService, from = source): Promise<string | undefined> {
  const object = { spec: { containers: [{ name: 'app', image: `${from.host}/app:1` }] } };
  const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'a', object } });
  const reply = await post(`${service.url}/v1/kyverno`, body);
  return (reply.json() as { images: { containers?: { app?: string } } }).images.containers?.app;
}

const swapped = (service: RunningService): Promise<void> =>
  until('the image is mirrored and swapped', async () => (await admit(service)) !== undefined);
const reloads = async (service: RunningService): Promise<string> => (await get(`${service.operations}/metrics`)).text;

describe('without a restart', () => {
  it('another caFile is trusted', async () => {
    const [right, wrong] = await Promise.all([
      makeCertificates({ hosts: ['127.0.0.1'] }),
      makeCertificates({ hosts: ['127.0.0.1'] }),
    ]);
    const target = await FakeRegistry.start({ tls: right });
    cleanups.push(() => target.close());
    const caFile = join(folder, 'ca.crt');
    await writeFile(caFile, wrong.ca);
    const service = await serve({ registry: target.host, caFile });
    expect(await admit(service)).toBeUndefined();
    await writeFile(caFile, right.ca);
    await until('the reload', async () => (await reloads(service)).includes('config_reload_success_total 1'));
    await swapped(service);
    expect(target.accessLog.some(({ method, status }) => method === 'PUT' && status === 201)).toBe(true);
  }, 60_000);

  it('another client certificate is shown', async () => {
    const [served, right, wrong] = await Promise.all(
      ['127.0.0.1', 'client', 'client'].map((host) => makeCertificates({ hosts: [host] })),
    );
    if (served === undefined || right === undefined || wrong === undefined) throw new Error('no certificates');
    const { cert, key } = served;
    const target = await FakeRegistry.start({ tls: { cert, key, clientCa: right.ca } });
    cleanups.push(() => target.close());
    const [caFile, certFile, keyFile] = ['ca.crt', 'client.crt', 'client.key'].map((name) => join(folder, name));
    const write = (file: string | undefined, text: string): Promise<void> => writeFile(file ?? '', text);
    await Promise.all([write(caFile, served.ca), write(certFile, wrong.cert), write(keyFile, wrong.key)]);
    const service = await serve({ registry: target.host, caFile, clientCertificate: { certFile, keyFile } });
    expect(await admit(service)).toBeUndefined();
    expect(target.accessLog).toEqual([]);
    await write(keyFile, right.key);
    await write(certFile, right.cert);
    await swapped(service);
    expect(target.accessLog.some(({ method, status }) => method === 'PUT' && status === 201)).toBe(true);
  }, 60_000);

  it('another passwordFile mirrors at once what the old password failed for, though no Pod asks again', async () => {
    const [target, hidden] = await Promise.all([
      FakeRegistry.start(),
      FakeRegistry.start({ auth: { type: 'basic', users: { robot: 'right' } } }),
    ]);
    cleanups.push(
      () => target.close(),
      () => hidden.close(),
    );
    loadImage(hidden, 'app', image, '1');
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, 'wrong');
    const service = await serve(
      { registry: target.host, insecure: true },
      {},
      { registry: hidden.host, insecure: true, credentials: { username: 'robot', passwordFile } },
    );
    expect(await admit(service, hidden)).toBeUndefined();
    const failed = async (): Promise<boolean> =>
      (await get(`${service.operations}/v1/mirrors`)).text.includes('"state":"failed"');
    await until('the copy has failed for good', failed);
    await writeFile(passwordFile, 'right');
    const repository = `${hidden.host.replace(':', '_')}/app`;
    await until('the image is mirrored', () => target.manifest(repository, '1')?.digest === image.digest);
  }, 60_000);

  it('logins that appear in the Docker config are used', async () => {
    const target = await FakeRegistry.start({ auth: { type: 'basic', users: { robot: 'word' } } });
    cleanups.push(() => target.close());
    const service = await serve({ registry: target.host, insecure: true }, { DOCKER_CONFIG: folder });
    expect(await admit(service)).toBeUndefined();
    const auth = Buffer.from('robot:word').toString('base64');
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [target.host]: { auth } } }));
    await until('the reload', async () => (await reloads(service)).includes('config_reload_success_total 1'));
    await until('the login is used', () => target.accessLog.some(({ user }) => user === 'robot'));
    expect((await get(`${service.operations}/readyz`)).status).toBe(200);
  }, 60_000);
});
