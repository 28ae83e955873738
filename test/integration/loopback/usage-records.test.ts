import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';

const USAGE = 'mirror/image-swapper-usage';
let cluster: FakeCluster;
let target: FakeRegistry;
let service: RunningService | undefined;

beforeEach(async () => {
  [cluster, target] = [await FakeCluster.start(), await FakeRegistry.start()];
});
afterEach(async () => {
  await service?.stop('SIGKILL');
  await Promise.all([cluster.close(), target.close()]);
});

describe('a service with gc.cluster', () => {
  it('records the images that its cluster uses, including namespaces that no policy covers', async () => {
    const pods = cluster.collection('/api/v1/pods');
    pods.put(smallPod('web', `${target.host}/mirror/docker.io/library/app:1`, 'team-a'));
    pods.put(smallPod('system', `${target.host}/mirror/docker.io/library/system:1`, 'kube-system'));
    const kubeconfig = join(tmpdir(), `image-swapper-usage-${process.pid}.json`);
    await writeFile(kubeconfig, cluster.kubeconfig());
    const config = stringify({
      target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      gc: { cluster: 'east' },
    });
    const env = { KUBECONFIG: kubeconfig, POD_NAME: 'usage' };
    service = await RunningService.start({ config, env, plain: true });
    await until('the record', () => target.manifest(USAGE, 'east') !== undefined);
    const manifest = JSON.parse(target.manifest(USAGE, 'east')?.bytes.toString() ?? '') as {
      layers: { digest: string }[];
    };
    const content = target.blob(manifest.layers[0]?.digest ?? '', USAGE);
    const record = JSON.parse(Buffer.concat([...(content?.chunks(0, content.size) ?? [])]).toString()) as {
      cluster: string;
      writers: Record<string, number>;
      uses: Record<string, number>;
    };
    expect(record.cluster).toBe('east');
    expect(Object.keys(record.uses).sort()).toEqual([
      'mirror/docker.io/library/app:1',
      'mirror/docker.io/library/system:1',
    ]);
    expect(Object.keys(record.writers)).toHaveLength(1);
  });
});
