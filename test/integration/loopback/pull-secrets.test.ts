import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { ClusterPullSecrets } from '../../../extension-service/src/kubernetes/pull-secrets.js';
import { FakeApiServer } from '../../fakes/apiserver.js';

let api: FakeApiServer;
let folder: string;
let problems: string[];
let debug: string[];
let now: number;
let secrets: ClusterPullSecrets;

beforeEach(async () => {
  api = await FakeApiServer.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  problems = [];
  debug = [];
  now = 0;
  secrets = await open();
});

async function open(more: { readonly deadline?: number; readonly most?: number } = {}): Promise<ClusterPullSecrets> {
  const cluster = await connectCluster({ KUBECONFIG: join(folder, 'kubeconfig') });
  if (cluster === undefined) throw new Error('KUBECONFIG was not read');
  return new ClusterPullSecrets(cluster, {
    reader: { enabled: true, secretNames: [] },
    onProblem: (message) => problems.push(message),
    onDebug: (message) => debug.push(message),
    now: () => now,
    ...more,
  });
}

afterEach(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

const POD = { namespace: 'team-a', serviceAccount: 'default', secretNames: ['pod-secret'] };

/** Returns the users of a Pod's credentials for registry.test, in the order of the attempts. */
async function users(context = POD): Promise<string[]> {
  const keychain = await secrets.forPod(context);
  const found = (await keychain?.resolve('registry.test', 'x')) ?? [];
  return found.map((credentials) => ('username' in credentials ? credentials.username : ''));
}

const registry = (username: string, key = 'registry.test') => ({ [key]: { username, password: 'p' } });

describe('pull secrets of a Pod', () => {
  it('come from the Pod first and then from its ServiceAccount, each once', async () => {
    // A more specific key in the ServiceAccount's secret does not take precedence over the Pod's secret.
    api.putPullSecret('team-a', 'pod-secret', registry('pod', '*.test'));
    api.putPullSecret('team-a', 'account-secret', registry('account'));
    api.putServiceAccount('team-a', 'default', ['account-secret', 'pod-secret']);
    expect(await users()).toEqual(['pod', 'account']);
    expect(problems).toEqual([]);
  });

  it('are also read from the old .dockercfg format', async () => {
    api.putSecret(
      'team-a',
      'pod-secret',
      { '.dockercfg': '{"registry.test":{"auth":"cDpw"}}' },
      'kubernetes.io/dockercfg',
    );
    api.putServiceAccount('team-a', 'default', []);
    expect(await users()).toEqual(['p']);
  });

  it('have one of the two types that the kubelet accepts', async () => {
    api.putSecret('team-a', 'pod-secret', { '.dockerconfigjson': JSON.stringify({ auths: registry('opaque') }) });
    api.putServiceAccount('team-a', 'default', []);
    expect(await users()).toEqual([]);
  });

  it('are limited to fifty', async () => {
    api.putServiceAccount('team-a', 'default', []);
    const secretNames = Array.from({ length: 60 }, (_, index) => `secret-${index}`);
    await secrets.forPod({ ...POD, secretNames });
    expect(api.requests.filter(({ path }) => path.includes('/secrets/'))).toHaveLength(50);
  });

  it('that are missing, forbidden or of another type are ignored and reported', async () => {
    api.putPullSecret('team-a', 'good', registry('u'));
    api.putSecret('team-a', 'opaque', { password: 'hunter2' });
    api.putPullSecret('team-a', 'forbidden', registry('u'));
    api.refuse('/api/v1/namespaces/team-a/secrets/forbidden', 403);
    api.refuse('/api/v1/namespaces/team-a/serviceaccounts/default', 403);
    expect(await users({ ...POD, secretNames: ['missing', 'opaque', 'forbidden', 'good'] })).toEqual(['u']);
    expect(problems.sort()).toEqual([
      'Secret team-a/forbidden: not allowed to read it (403); grant the service the verb get on it',
      'Secret team-a/missing: does not exist',
      'Secret team-a/opaque: is neither of type kubernetes.io/dockerconfigjson nor kubernetes.io/dockercfg',
      'ServiceAccount team-a/default: not allowed to read it (403); grant the service the verb get on it',
    ]);
    expect(problems.join()).not.toContain('hunter2');
  });

  it.each(['hang', 'stall'] as const)(
    'that the API server does not return in time are ignored and reported: %s',
    async (how) => {
      api.putPullSecret('team-a', 'good', registry('u'));
      secrets = await open({ deadline: 1_000 });
      api.refuse('/api/v1/namespaces/team-a/secrets/pod-secret', how);
      api.refuse('/api/v1/namespaces/team-a/serviceaccounts/default', how);
      expect(await users({ ...POD, secretNames: ['pod-secret', 'good'] })).toEqual(['u']);
      expect(problems.sort()).toEqual([
        'Secret team-a/pod-secret: the API server did not respond in time',
        'ServiceAccount team-a/default: the API server did not respond in time',
      ]);
      await expect(secrets.named('pod-secret', 'team-a')).rejects.toThrow(
        'Secret team-a/pod-secret: the API server did not respond in time',
      );
    },
  );

  it('are kept up to a number of bytes, the newest first', async () => {
    secrets = await open({ most: 250 });
    api.putServiceAccount('team-a', 'default', []);
    for (const name of ['a', 'b', 'c']) api.putPullSecret('team-a', name, registry(name));
    const asked = (): number => api.requests.filter(({ path }) => path.includes('/secrets/')).length;
    for (const name of ['a', 'b', 'c', 'c', 'b']) expect(await users({ ...POD, secretNames: [name] })).toEqual([name]);
    expect(asked()).toBe(3);
    expect(await users({ ...POD, secretNames: ['a'] })).toEqual(['a']);
    expect(asked()).toBe(4);
  });

  it('of more than a megabyte are ignored and reported', async () => {
    api.putServiceAccount('team-a', 'default', []);
    api.putPullSecret('team-a', 'pod-secret', { 'r.test': { username: 'u', password: 'p'.repeat(1_048_576) } });
    expect(await users()).toEqual([]);
    expect(problems).toEqual(['Secret team-a/pod-secret: is larger than 1 MiB and is ignored']);
    await expect(secrets.named('pod-secret', 'team-a')).rejects.toThrow('is larger than 1 MiB');
  });

  it('cost one request each per period, including missing ones', async () => {
    api.putServiceAccount('team-a', 'default', []);
    for (let i = 0; i < 20; i += 1) await secrets.forPod(POD);
    expect(api.requests).toHaveLength(2);
    now = 30_001;
    await secrets.forPod(POD);
    expect(api.requests).toHaveLength(4);
  });
});

describe('a named secret', () => {
  it("is read from the service's own namespace unless another is given", async () => {
    api.putPullSecret('swapper', 'target', { 'target.test': { username: 'u', password: 'p' } });
    expect(await secrets.named('target')).toContain('target.test');
    await expect(secrets.named('target', 'elsewhere')).rejects.toThrow('Secret elsewhere/target: does not exist');
  });
});

describe('a rotated secret', () => {
  it('is read again within seconds for the configuration and within half a minute for a Pod', async () => {
    api.putServiceAccount('team-a', 'default', []);
    const put = (username: string): void => api.putPullSecret('team-a', 'pod-secret', registry(username));
    const named = (): Promise<string> => secrets.named('pod-secret', 'team-a');
    put('first');
    expect(await named()).toContain('first');
    expect(await users()).toEqual(['first']);
    put('second');
    now = 2_900;
    expect(await named()).toContain('first');
    now = 3_001;
    expect(await named()).toContain('second');
    expect(await users()).toEqual(['first']);
    now = 30_001;
    expect(await users()).toEqual(['second']);
  });
});

describe('secretReader', () => {
  beforeEach(() => {
    for (const name of ['pod-secret', 'allowed', 'other']) api.putPullSecret('team-a', name, registry(name));
    api.putServiceAccount('team-a', 'default', ['allowed', 'other']);
  });

  it('enabled: false reads nothing for Pods, but still the Secrets of the configuration', async () => {
    secrets.configure({ enabled: false, secretNames: [] });
    expect(await secrets.forPod(POD)).toBeUndefined();
    expect(api.requests).toEqual([]);
    expect(await secrets.named('allowed', 'team-a')).toContain('registry.test');
  });

  it('secretNames limits the Secrets that are read for the Pod and its ServiceAccount', async () => {
    secrets.configure({ enabled: true, secretNames: ['allowed', 'unused'] });
    for (let i = 0; i < 5; i += 1) expect(await users()).toEqual(['allowed']);
    expect(api.requests.map(({ path }) => path)).toEqual([
      '/api/v1/namespaces/team-a/serviceaccounts/default',
      '/api/v1/namespaces/team-a/secrets/allowed',
    ]);
    expect(problems).toEqual([]);
    expect(debug[0]).toBe('not in secretReader.secretNames: team-a/pod-secret');
  });

  it('takes effect when it is turned on or off, and earlier secrets are forgotten', async () => {
    expect(await users()).toEqual(['pod-secret', 'allowed', 'other']);
    secrets.configure({ enabled: true, secretNames: ['other'] });
    expect(await users()).toEqual(['other']);
    secrets.configure({ enabled: false, secretNames: [] });
    expect(await users()).toEqual([]);
    api.putPullSecret('team-a', 'other', registry('rotated'));
    secrets.configure({ enabled: true, secretNames: [] });
    expect(await users()).toEqual(['pod-secret', 'allowed', 'rotated']);
  });
});

describe('outside of a cluster', () => {
  it('no cluster is available', async () => {
    expect(await connectCluster({})).toBeUndefined();
  });
});
