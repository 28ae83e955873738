import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { garbageOf } from '../../../extension-service/src/background/garbage.js';
import { ClusterSide } from '../../../extension-service/src/background/cluster-side.js';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { configOf } from '../../unit/decide/rules-of.js';
import { until } from '../../fakes/until.js';

let folder: string;
let kubeconfig: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  kubeconfig = join(folder, 'kubeconfig');
});
afterEach(() => rm(folder, { recursive: true }));

/** Replaces the file atomically, so that readers never see a partial file. */
async function put(text: string): Promise<void> {
  await writeFile(`${kubeconfig}.new`, text);
  await rename(`${kubeconfig}.new`, kubeconfig);
}

describe('a kubeconfig that cannot be used', () => {
  it.each([
    ['users: [{name: a, user: {token: "hunter2', 'is not valid YAML from line 2'],
    ['users:\n- name: a\n  user:\n    token: hunter2: b\n', 'is not valid YAML from line 4'],
    ['null', 'is not a kubeconfig'],
  ])('is reported by its name, without its content: %j', async (text, problem) => {
    await writeFile(kubeconfig, text);
    await expect(connectCluster({ KUBECONFIG: kubeconfig })).rejects.toThrow(
      new Error(`the kubeconfig ${kubeconfig} ${problem}`),
    );
  });

  it('is reported once per problem and once when it is solved, for any number of attempts', async () => {
    const cluster = await FakeCluster.start();
    const log: string[] = [];
    let tries = 0;
    const side = new ClusterSide(configOf(), {
      env: { KUBECONFIG: kubeconfig },
      log: (level, message) => log.push(`${level}: ${message}`),
      garbage: garbageOf(() => {
        throw new Error('no registry is needed');
      }),
      checkAccess: () => Promise.resolve({ state: 'unknown', message: 'no source is needed' }),
      emit: ({ kind }) => (tries += kind === 'role' ? 1 : 0),
      retry: 5,
    });
    const tried = async (): Promise<void> => {
      const before = tries;
      await until('some tries', () => tries > before + 5);
    };
    try {
      side.start();
      await tried();
      await put('null');
      await tried();
      await put(cluster.kubeconfig());
      await until('it leads', () => log.some((line) => line.includes('this replica is the leader')));
    } finally {
      await side.stop();
      await cluster.close();
    }
    expect(log.slice(0, 3)).toEqual([
      `error: cannot connect to the cluster: the kubeconfig ${kubeconfig} does not exist`,
      `error: cannot connect to the cluster: the kubeconfig ${kubeconfig} is not a kubeconfig`,
      'info: connected to the cluster',
    ]);
  });
});
