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
let now: number;
let secrets: ClusterPullSecrets;

beforeEach(async () => {
  api = await FakeApiServer.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, api.kubeconfig('swapper'));
  problems = [];
  now = 0;
  const cluster = await connectCluster({ KUBECONFIG: kubeconfig });
  if (cluster === undefined) throw new Error('KUBECONFIG was not read');
  secrets = new ClusterPullSecrets(cluster, { onProblem: (message) => problems.push(message), now: () => now });
});

afterEach(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

const POD = { namespace: 'team-a', serviceAccount: 'default', secretNames: ['pod-secret'] };

describe('pull secrets of a Pod', () => {
  it("come from the Pod first and its ServiceAccount's after, each once", async () => {
    api.putPullSecret('team-a', 'pod-secret', { 'registry.test': { username: 'pod', password: 'p' } });
    api.putPullSecret('team-a', 'account-secret', { 'registry.test': { username: 'account', password: 'a' } });
    api.putServiceAccount('team-a', 'default', ['account-secret', 'pod-secret']);
    const documents = (await secrets.forPod(POD)).map(
      ({ text }) => JSON.parse(text) as { auths: Record<string, { username: string }> },
    );
    expect(documents.map(({ auths }) => auths['registry.test']?.username)).toEqual(['pod', 'account']);
    expect(problems).toEqual([]);
  });

  it('are read from the old .dockercfg form too', async () => {
    api.putSecret('team-a', 'pod-secret', { '.dockercfg': '{"registry.test":{"auth":"cDpw"}}' });
    api.putServiceAccount('team-a', 'default', []);
    expect(await secrets.forPod(POD)).toEqual([
      { origin: 'Secret team-a/pod-secret', text: '{"registry.test":{"auth":"cDpw"}}' },
    ]);
  });

  it('that are missing, forbidden or of another type are left out and told', async () => {
    api.putPullSecret('team-a', 'good', { 'registry.test': { username: 'u', password: 'p' } });
    api.putSecret('team-a', 'opaque', { password: 'hunter2' });
    api.putPullSecret('team-a', 'forbidden', { 'registry.test': { username: 'u', password: 'p' } });
    api.refuse('/api/v1/namespaces/team-a/secrets/forbidden', 403);
    api.refuse('/api/v1/namespaces/team-a/serviceaccounts/default', 403);
    const documents = await secrets.forPod({ ...POD, secretNames: ['missing', 'opaque', 'forbidden', 'good'] });
    expect(documents).toHaveLength(1);
    expect(problems.sort()).toEqual([
      'Secret team-a/forbidden: not allowed to read it (403); grant the service get on it',
      'Secret team-a/missing: does not exist',
      'Secret team-a/opaque: holds neither .dockerconfigjson nor .dockercfg',
      'ServiceAccount team-a/default: not allowed to read it (403); grant the service get on it',
    ]);
    expect(problems.join()).not.toContain('hunter2');
  });

  it('cost one request each for a while, missing ones included', async () => {
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
  it('of the configuration is read again within seconds, and one of a Pod within half a minute', async () => {
    api.putServiceAccount('team-a', 'default', []);
    const put = (username: string): void =>
      api.putPullSecret('team-a', 'pod-secret', { 'registry.test': { username, password: 'p' } });
    const named = (): Promise<string> => secrets.named('pod-secret', 'team-a');
    const ofPod = async (): Promise<string | undefined> => (await secrets.forPod(POD))[0]?.text;
    put('first');
    expect(await Promise.all([named(), ofPod()])).toEqual([
      expect.stringContaining('first'),
      expect.stringContaining('first'),
    ]);
    put('second');
    now = 2_900;
    expect(await named()).toContain('first');
    now = 3_001;
    expect(await named()).toContain('second');
    expect(await ofPod()).toContain('first');
    now = 30_001;
    expect(await ofPod()).toContain('second');
  });
});

describe('outside of a cluster', () => {
  it('there is no cluster to ask', async () => {
    expect(await connectCluster({})).toBeUndefined();
  });
});
