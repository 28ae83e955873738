import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { KNOWN_CALLER, admit, mirrors, pathOf, plainRegistry, World } from './world.js';
import { until } from '../../fakes/until.js';

/**
 * The built service with an API server. The tests check which credentials of a Pod the private source and the API
 * server receive.
 */

const image = buildImage({ layerSize: 1_000 });
const users = { right: 'r-word', team: 'good-word' };
let world: World;
let api: FakeApiServer;
let folder: string;
let source: FakeRegistry;
let target: FakeRegistry;

beforeEach(async () => {
  world = new World();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  api = await FakeApiServer.start();
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  [source, target] = [await world.registry({ auth: { type: 'basic', users } }), await world.registry()];
  for (const name of ['team/app', 'team/second', 'team/third']) loadImage(source, name, image, '1');
});

afterEach(async () => {
  await world.close();
  await api.close();
  await rm(folder, { recursive: true });
});

const configuration = (more: object = {}, credentials: object = {}): Record<string, unknown> => ({
  source: { registries: [plainRegistry(source, { ...credentials })] },
  target: plainRegistry(target),
  // The fake API server does not support Leases, and this test does not need one.
  reconcile: { enabled: false },
  ...KNOWN_CALLER,
  ...more,
});

const serve = (config: Record<string, unknown>): Promise<RunningService> =>
  world.serve(config, { env: { KUBECONFIG: join(folder, 'kubeconfig') } });

/** Returns the final state of the copy of one image. */
async function copied(service: RunningService, name: string): Promise<string> {
  const reference = `${source.host}/team/${name}:1`;
  await admit(service, { app: reference }, { spec: { imagePullSecrets: [{ name: 'pod-secret' }] } });
  let state = '';
  await until(`the copy of ${name} ends`, async () => {
    state = (await mirrors(service)).find((row) => row.source === reference)?.state ?? '';
    return state === 'done' || state === 'failed';
  });
  return state;
}

/** Returns the requests to the API server for Secrets and ServiceAccounts. */
const asked = (): string[] =>
  api.requests.map(({ path }) => path).filter((path) => /\/(secrets|serviceaccounts)\b/.test(path));

const login = (username: string, password = 'wrong-word') => ({ username, password });

/** Returns user and status of the first manifest requests, up to the first success. */
function tries(): string[] {
  const log = source.accessLog.filter(({ path }) => path.includes('/manifests/'));
  const rows = log.map(({ headers, status }) => {
    const [, basic = ''] = /^Basic (.*)$/.exec(headers.authorization ?? '') ?? [];
    return `${Buffer.from(basic, 'base64').toString().split(':')[0] ?? ''} ${status}`;
  });
  return rows.slice(0, rows.findIndex((row) => row.endsWith('200')) + 1);
}

describe('the credentials of a Pod', () => {
  it("are tried with the longest key first, the Pod's before its ServiceAccount's, and only at their host", async () => {
    api.putPullSecret('team-a', 'pod-secret', {
      '127.0.0.*': login('other-port'),
      [target.host]: login('for-the-target'),
      'index.docker.io': login('hub'),
      [source.host.replace('127.0.0.1', '*.0.0.1')]: login('glob'),
      [source.host]: login('host'),
      [`${source.host}/team`]: login('path'),
      [`${source.host}/other`]: login('other-path'),
    });
    api.putPullSecret('team-a', 'account-secret', { [`https://${source.host}/v1/`]: login('right', users.right) });
    api.putServiceAccount('team-a', 'default', ['account-secret']);
    const service = await serve(configuration());
    expect(await copied(service, 'app')).toBe('done');
    expect(target.manifest(pathOf(source, 'team/app'), '1')?.digest).toBe(image.digest);
    expect(tries()).toEqual([' 401', 'path 401', 'host 401', 'glob 401', 'right 200']);
    expect(new Set(target.accessLog.map(({ headers }) => headers.authorization))).toEqual(new Set([undefined]));
    expect(JSON.stringify(service.log)).not.toMatch(/[a-z]-word/);
  });

  it('cost the API server no request per copy', async () => {
    api.putPullSecret('team-a', 'pod-secret', { [source.host]: login('right', users.right) });
    api.putServiceAccount('team-a', 'default', []);
    const service = await serve(configuration());
    expect(await copied(service, 'app')).toBe('done');
    await until('the watches are open', () => api.watches('secrets') === 2 && api.watches('serviceaccounts') === 1);
    const before = asked().length;
    expect([await copied(service, 'second'), await copied(service, 'third')]).toEqual(['done', 'done']);
    expect(asked().slice(before)).toEqual([]);
  });

  it('are not read with secretReader.enabled: false, until a reload changes it', async () => {
    api.putPullSecret('team-a', 'pod-secret', { [source.host]: login('right', users.right) });
    const service = await serve(configuration({ secretReader: { enabled: false } }));
    expect(await copied(service, 'app')).toBe('failed');
    expect(asked()).toEqual([]);
    await writeFile(service.configFile, stringify(configuration()));
    await until('the configuration is read again', () =>
      service.log.some(({ message }) => message === 'configuration reloaded'),
    );
    expect(await copied(service, 'second')).toBe('done');
    await writeFile(service.configFile, stringify(configuration({ secretReader: { enabled: false } })));
    await until('the watches end', () => api.watches('secrets') === 0);
    expect(await copied(service, 'third')).toBe('failed');
  });

  it('are not needed with credentials in the configuration, which are read even with secretReader.enabled: false', async () => {
    api.putPullSecret('swapper', 'own', { [source.host]: login('right', users.right) });
    api.putPullSecret('team-a', 'pod-secret', { [source.host]: login('team', users.team) });
    const credentials = { credentials: { secretName: 'own' } };
    const service = await serve(configuration({ secretReader: { enabled: false } }, credentials));
    expect(await copied(service, 'app')).toBe('done');
    expect(new Set(asked())).toEqual(new Set(['/api/v1/namespaces/swapper/secrets/own']));
    expect(tries().at(-1)).toBe('right 200');
  });
});
