import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LazyPullSecrets } from '../../../extension-service/src/kubernetes/lazy-pull-secrets.js';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { until } from '../../fakes/until.js';

let api: FakeApiServer;
let folder: string;
let problems: string[];
let rotated: string[];
let secrets: LazyPullSecrets;

beforeEach(async () => {
  api = await FakeApiServer.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  [problems, rotated] = [[], []];
  secrets = open();
});

function open(more: { readonly most?: number } = {}): LazyPullSecrets {
  return new LazyPullSecrets({
    env: { KUBECONFIG: join(folder, 'kubeconfig') },
    watch: true,
    reader: { enabled: true, secretNames: [] },
    onProblem: (message) => problems.push(message),
    onRotated: (namespace, name) => rotated.push(`${namespace}/${name}`),
    ...more,
  });
}

afterEach(async () => {
  secrets.configure({ enabled: false, secretNames: [] });
  await api.close();
  await rm(folder, { recursive: true });
});

const POD = { namespace: 'team-a', serviceAccount: 'default', secretNames: ['pod-secret'] };

async function users(context = POD): Promise<string[]> {
  const keychain = await secrets.forPod(context);
  const found = (await keychain?.resolve('registry.test', 'x')) ?? [];
  return found.map((credentials) => ('username' in credentials ? credentials.username : ''));
}

const put = (name: string, username: string): void =>
  api.putPullSecret('team-a', name, { 'registry.test': { username, password: 'p' } });

const reads = (): string[] =>
  api.requests.map(({ path }) => path).filter((path) => path.startsWith('/api/v1/namespaces/'));

/** Waits until both types of Secrets and the ServiceAccounts are listed and watched. */
async function watching(): Promise<void> {
  await secrets.start();
  await until('the watches are open', () => api.watches('secrets') === 2 && api.watches('serviceaccounts') === 1);
}

describe('watched pull secrets', () => {
  it('cost no request, for any number of Pods', async () => {
    put('pod-secret', 'pod');
    put('account-secret', 'account');
    api.putSecret(
      'team-a',
      'old',
      { '.dockercfg': '{"registry.test":{"auth":"b2xkOnA="}}' },
      'kubernetes.io/dockercfg',
    );
    api.putServiceAccount('team-a', 'default', ['account-secret', 'old']);
    await watching();
    for (let i = 0; i < 50; i += 1) expect(await users()).toEqual(['pod', 'account', 'old']);
    expect(await users({ ...POD, namespace: 'team-b' })).toEqual([]);
    expect(reads()).toEqual([]);
    expect(problems).toEqual(['Secret team-b/pod-secret: does not exist, or is not a pull secret']);
  });

  it('are listed by type and page by page, so that no other Secret is read', async () => {
    for (let i = 0; i < 250; i += 1) put(`secret-${i}`, `user-${i}`);
    api.putSecret('team-a', 'pod-secret', { '.dockerconfigjson': '{}', password: 'hunter2' });
    await watching();
    expect(await users({ ...POD, secretNames: ['secret-0', 'secret-249', 'pod-secret'] })).toEqual([
      'user-0',
      'user-249',
    ]);
    const asked = api.requests.filter(({ path }) => path === '/api/v1/secrets').map(({ query }) => query);
    expect(asked.every((query) => /fieldSelector=type%3Dkubernetes.io%2Fdockerc(onfigjson|fg)\b/.test(query))).toBe(
      true,
    );
    expect(asked.filter((query) => query.includes('continue='))).toHaveLength(2);
  });

  it('are read by name, each once per period, until they are listed', async () => {
    put('pod-secret', 'pod');
    api.putServiceAccount('team-a', 'default', []);
    for (const path of ['/api/v1/secrets', '/api/v1/serviceaccounts']) api.refuse(path, 503);
    for (let i = 0; i < 10; i += 1) expect(await users()).toEqual(['pod']);
    expect(reads()).toHaveLength(2);
    for (const path of ['/api/v1/secrets', '/api/v1/serviceaccounts']) api.allow(path);
    put('pod-secret', 'rotated');
    await until('the Secret comes by the watch', async () => (await users())[0] === 'rotated');
    expect(reads()).toHaveLength(2);
  });

  it('are read by name when watching is forbidden, which is reported once', async () => {
    put('pod-secret', 'pod');
    api.putServiceAccount('team-a', 'default', []);
    api.refuse('/api/v1/secrets', 403);
    api.refuse('/api/v1/serviceaccounts', 403);
    expect(await users()).toEqual(['pod']);
    await until('it is tried again', () => api.requests.filter(({ path }) => path === '/api/v1/secrets').length > 3);
    expect(problems.sort()).toEqual([
      '/api/v1/secrets: not allowed to list and watch (403); grant the service the verbs list and watch',
      '/api/v1/serviceaccounts: not allowed to list and watch (403); grant the service the verbs list and watch',
    ]);
    expect(await users()).toEqual(['pod']);
    expect(reads()).toHaveLength(2);
  });

  it('take effect at once when they are rotated, created, added to a ServiceAccount or deleted, and each change is reported', async () => {
    put('pod-secret', 'first');
    put('account-secret', 'account');
    await watching();
    expect(await users()).toEqual(['first']);
    expect(rotated).toEqual([]);
    put('pod-secret', 'second');
    await until('the rotation is reported', () => rotated.length === 1);
    expect(await users()).toEqual(['second']);
    api.putServiceAccount('team-a', 'default', ['account-secret']);
    await until('the ServiceAccount is reported', () => rotated.length === 2);
    expect(await users()).toEqual(['second', 'account']);
    api.remove('secrets', 'team-a', 'pod-secret');
    await until('the Secret goes', async () => (await users()).length === 1);
    put('pod-secret', 'third');
    await until('the new Secret is reported', () => rotated.length === 3);
    expect(await users()).toEqual(['third', 'account']);
    expect(rotated).toEqual(['team-a/pod-secret', 'team-a/account-secret', 'team-a/pod-secret']);
    expect(reads()).toEqual([]);
  });

  it('that change in metadata only are not reported, and their new version is followed', async () => {
    put('pod-secret', 'first');
    await watching();
    put('pod-secret', 'first');
    put('other', 'other');
    await until('the other one is reported', () => rotated.includes('team-a/other'));
    expect(rotated).toEqual(['team-a/other']);
    put('pod-secret', 'second');
    await until('the change is seen', async () => (await users())[0] === 'second');
    expect(rotated).toEqual(['team-a/other', 'team-a/pod-secret']);
  });

  it.each([401, 403])('are dropped when the rights are removed, and reported when they return: %i', async (code) => {
    const paths = ['/api/v1/secrets', '/api/v1/namespaces/team-a/secrets/pod-secret'];
    put('pod-secret', 'pod');
    api.putServiceAccount('team-a', 'default', []);
    await watching();
    expect(await users()).toEqual(['pod']);
    for (const path of paths) api.refuse(path, code);
    api.endWatches();
    await until('the Secret is dropped', async () => (await users()).length === 0);
    expect(problems.filter((problem) => problem.startsWith('/api/v1/secrets'))).toHaveLength(1);
    expect(problems.join()).toContain(`Secret team-a/pod-secret: not allowed to read it (${code})`);
    for (const path of paths) api.allow(path);
    await until('the Secret is back', async () => (await users())[0] === 'pod');
    expect(rotated).toEqual(['team-a/pod-secret']);
  });

  it('that were unreachable before the rights were removed are also dropped, and both are reported', async () => {
    put('pod-secret', 'pod');
    api.putServiceAccount('team-a', 'default', []);
    await watching();
    api.refuse('/api/v1/secrets', 503);
    api.endWatches();
    await until('the trouble is reported', () => problems.length === 1);
    expect(await users()).toEqual(['pod']);
    api.refuse('/api/v1/secrets', 403);
    api.refuse('/api/v1/namespaces/team-a/secrets/pod-secret', 403);
    await until('the Secret is dropped', async () => (await users()).length === 0);
    expect(problems.slice(0, 2)).toEqual([
      expect.stringContaining('/api/v1/secrets'),
      '/api/v1/secrets: not allowed to list and watch (403); grant the service the verbs list and watch',
    ]);
  });

  it.each([
    ['ends', {}, 0],
    ['ends and the server has forgotten what happened since', { forget: true }, 1],
  ])('continue when a watch %s, and unchanged secrets are not reported', async (_, how, lists) => {
    put('pod-secret', 'first');
    put('same', 'same');
    await watching();
    api.bookmark();
    const listed = (): number =>
      api.requests.filter(({ path, query }) => path === '/api/v1/secrets' && query.includes('limit=')).length;
    const before = listed();
    put('pod-secret', 'second');
    await until('the rotation is reported', () => rotated.length === 1);
    api.endWatches(how);
    put('pod-secret', 'third');
    await until('the change is seen', async () => (await users())[0] === 'third');
    await until('the watches are open again', () => api.watches('secrets') === 2);
    expect(rotated.filter((name) => name !== 'team-a/pod-secret')).toEqual([]);
    expect(listed() - before).toBe(lists * 2);
    expect(problems).toEqual([]);
  });
});

describe('pull secrets that are too much', () => {
  it('for the memory limit are reported once by name and read when needed', async () => {
    for (const name of ['a', 'b', 'c', 'd']) put(name, `user-${name}`);
    api.putServiceAccount('team-a', 'default', []);
    // Each Secret has about 120 bytes in addition to its name.
    secrets = open({ most: 330 });
    await watching();
    const all = { ...POD, secretNames: ['a', 'b', 'c', 'd'] };
    for (let i = 0; i < 3; i += 1) expect(await users(all)).toEqual(['user-a', 'user-b', 'user-c', 'user-d']);
    const leftOut = (name: string): string =>
      `Secret team-a/${name}: is not cached, because the cache is full; it is read when a Pod needs it`;
    expect(problems).toEqual([leftOut('c'), leftOut('d')]);
    expect(new Set(reads())).toEqual(new Set(['c', 'd'].map((name) => `/api/v1/namespaces/team-a/secrets/${name}`)));
    api.endWatches({ forget: true });
    await until('the watches are open again', () => api.watches('secrets') === 2);
    expect(problems).toHaveLength(2);
    api.remove('secrets', 'team-a', 'a');
    put('d', 'rotated');
    await until('there is room for it', async () => (await users({ ...POD, secretNames: ['d'] }))[0] === 'rotated');
  });

  it('for one Secret are ignored and reported without their content', async () => {
    put('pod-secret', 'pod');
    api.putPullSecret('team-a', 'huge', { 'registry.test': { username: 'huge', password: 'p'.repeat(1_048_576) } });
    await watching();
    expect(await users({ ...POD, secretNames: ['huge', 'pod-secret'] })).toEqual(['pod']);
    expect(problems[0]).toBe('Secret team-a/huge: is larger than 1 MiB and is ignored');
    expect(problems.join()).not.toContain('ppp');
  });
});

describe('secretReader', () => {
  it('enabled: false makes no request to the API server for Pods, and ends the watches after a reload', async () => {
    put('pod-secret', 'pod');
    secrets.configure({ enabled: false, secretNames: [] });
    await secrets.start();
    expect(await users()).toEqual([]);
    expect(api.requests).toEqual([]);
    secrets.configure({ enabled: true, secretNames: [] });
    await watching();
    expect(await users()).toEqual(['pod']);
    secrets.configure({ enabled: false, secretNames: [] });
    await until('the watches end', () => api.watches('secrets') === 0 && api.watches('serviceaccounts') === 0);
    expect(await users()).toEqual([]);
    put('pod-secret', 'second');
    expect(rotated).toEqual([]);
  });

  it('secretNames reads only those names, without a list or watch', async () => {
    put('pod-secret', 'pod');
    put('other', 'other');
    api.putServiceAccount('team-a', 'default', ['pod-secret']);
    secrets.configure({ enabled: true, secretNames: ['pod-secret'] });
    await secrets.start();
    for (let i = 0; i < 10; i += 1) expect(await users({ ...POD, secretNames: ['other'] })).toEqual(['pod']);
    expect(api.requests.map(({ path }) => path)).toEqual([
      '/api/v1/namespaces/team-a/serviceaccounts/default',
      '/api/v1/namespaces/team-a/secrets/pod-secret',
    ]);
  });
});
