import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { get } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { World, admit, metric, mirrors, pathOf, plainRegistry } from './world.js';

/**
 * Changes of files that the configuration or the environment names take effect like changes of the configuration
 * itself.
 */

const image = buildImage({ layerSize: 1_000 });
const world = new World();
let folder: string;
let service: RunningService;
/** A public source and a source with a password. */
let source: FakeRegistry;
let hidden: FakeRegistry;
/** The targets. Each is for the namespace with the same name. */
let authority: FakeRegistry;
let client: FakeRegistry;
let docker: FakeRegistry;
let rest: FakeRegistry;
let certificates: Readonly<Record<'authority' | 'stranger' | 'served' | 'client' | 'other', Certificates>>;

const file = (name: string): string => join(folder, name);
const write = (name: string, text: string): Promise<void> => writeFile(file(name), text);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-named-'));
  const certificateFor = (host: string): Promise<Certificates> => makeCertificates({ hosts: [host] });
  certificates = {
    authority: await certificateFor('127.0.0.1'),
    stranger: await certificateFor('127.0.0.1'),
    served: await certificateFor('127.0.0.1'),
    client: await certificateFor('client'),
    other: await certificateFor('client'),
  };
  const { served, stranger, other } = certificates;
  source = await world.registry();
  hidden = await world.registry({ auth: { type: 'basic', users: { robot: 'right' } } });
  authority = await world.registry({ tls: certificates.authority });
  client = await world.registry({ tls: { cert: served.cert, key: served.key, clientCa: certificates.client.ca } });
  docker = await world.registry({ auth: { type: 'basic', users: { robot: 'word' } } });
  rest = await world.registry();
  for (const registry of [source, hidden]) loadImage(registry, 'app', image, '1');
  await Promise.all([
    write('ca.crt', stranger.ca),
    write('served.crt', served.ca),
    write('client.crt', other.cert),
    write('client.key', other.key),
    write('password', 'wrong'),
  ]);
  const clientCertificate = { certFile: file('client.crt'), keyFile: file('client.key') };
  const targets = {
    authority: { registry: authority.host, caFile: file('ca.crt') },
    client: { registry: client.host, caFile: file('served.crt'), clientCertificate },
    docker: { registry: docker.host, insecure: true },
  };
  const credentials = { username: 'robot', passwordFile: file('password') };
  service = await world.serve(
    {
      source: { registries: [plainRegistry(source), plainRegistry(hidden, { credentials })] },
      targets: Object.entries(targets).map(([name, oci]) => ({
        name,
        match: `obj.metadata.namespace == '${name}'`,
        type: 'oci',
        oci,
      })),
      target: plainRegistry(rest),
    },
    { plain: true, env: { DOCKER_CONFIG: folder } },
  );
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

const isSwapped = async (namespace: string, from = source): Promise<boolean> => {
  const asked = `${from.host}/app:1`;
  return (await admit(service, { app: asked }, { namespace }))['app'] !== asked;
};
const swapped = (namespace: string): Promise<void> =>
  until('the image is mirrored and swapped', () => isSwapped(namespace));
const reloads = (): Promise<number> => metric(service, 'image_swapper_config_reload_success_total');
const isPushedTo = ({ accessLog }: FakeRegistry): boolean =>
  accessLog.some(({ method, status }) => method === 'PUT' && status === 201);

describe('without a restart', () => {
  it('another caFile is trusted', async () => {
    expect(await isSwapped('authority')).toBe(false);
    const before = await reloads();
    await write('ca.crt', certificates.authority.ca);
    await until('the reload', async () => (await reloads()) > before);
    await swapped('authority');
    expect(isPushedTo(authority)).toBe(true);
  });

  it('another client certificate is shown', async () => {
    expect(await isSwapped('client')).toBe(false);
    expect(client.accessLog).toEqual([]);
    await write('client.key', certificates.client.key);
    await write('client.crt', certificates.client.cert);
    await swapped('client');
    expect(isPushedTo(client)).toBe(true);
  });

  it('another passwordFile immediately mirrors images that failed before, without another Pod', async () => {
    expect(await isSwapped('team-a', hidden)).toBe(false);
    const failed = async (): Promise<boolean> =>
      (await mirrors(service)).some((row) => row.source.startsWith(hidden.host) && row.state === 'failed');
    await until('the copy has failed for good', failed);
    await write('password', 'right');
    await until('the image is mirrored', () => rest.manifest(pathOf(hidden, 'app'), '1')?.digest === image.digest);
  });

  it('logins that appear in the Docker config are used', async () => {
    expect(await isSwapped('docker')).toBe(false);
    const before = await reloads();
    const auth = Buffer.from('robot:word').toString('base64');
    await write('config.json', JSON.stringify({ auths: { [docker.host]: { auth } } }));
    await until('the reload', async () => (await reloads()) > before);
    await until('the login is used', () => docker.accessLog.some(({ user }) => user === 'robot'));
    expect((await get(`${service.operations}/readyz`)).status).toBe(200);
  });
});
