import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { metric } from './world.js';

/** The metrics and explanations of the replica that keeps the API server's table, and of one that no longer does. */

const POLICIES = '/apis/admissionregistration.k8s.io/v1/';
const IMAGE = 'docker.io/library/app:1';
const kubeconfig = join(tmpdir(), `image-swapper-table-leader-${process.pid}.json`);
let cluster: FakeCluster;
let target: FakeRegistry;
let service: RunningService;

const TABLES = '/apis/image-swapper.io/v1alpha1/imagetables/';
const configured = (engine: string, more: object = {}): string =>
  stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    mirror: { referrers: false },
    secretReader: { enabled: false },
    policies: { manage: true, engine, ...more },
  });

beforeAll(async () => {
  [cluster, target] = [await FakeCluster.start(), await FakeRegistry.start()];
  const ofKyverno = ['/apis/kyverno.io/v2/globalcontextentries/', '/apis/policies.kyverno.io/v1/mutatingpolicies/'];
  for (const path of [POLICIES, TABLES, ...ofKyverno]) cluster.applied.serve(path);
  cluster.collection('/api/v1/pods').put(smallPod('web', IMAGE, 'team-a'));
  loadImage(target, 'mirror/docker.io/library/app', buildImage({ seed: 1 }), '1');
  await writeFile(kubeconfig, cluster.kubeconfig());
  service = await RunningService.start({
    config: configured('mutatingadmissionpolicy'),
    env: { KUBECONFIG: kubeconfig, POD_NAME: 'one' },
    plain: true,
  });
}, 60_000);
afterAll(async () => {
  await service.stop();
  await Promise.all([cluster.close(), target.close(), rm(kubeconfig)]);
});

const entries = (): Promise<number> => metric(service, 'image_swapper_table_entries');

async function explained(): Promise<string> {
  const body = JSON.stringify({ image: IMAGE, namespace: 'team-a' });
  return (await post(`${service.url}/v1/explain?output=text`, body, {})).text;
}

it('shows the table while it leads, 0 after it has lost the Lease, and the table when it leads again', async () => {
  await until('the image is in the table', async () => (await entries()) === 1);
  expect(await explained()).toContain("The API server's table has had it since");
  cluster.fault({ verb: 'lease', fault: { type: 'status', code: 500 } });
  await until('it no longer leads', async () => (await entries()) === 0);
  expect(await metric(service, 'image_swapper_table_written_timestamp_seconds')).toBe(0);
  expect(await explained()).not.toContain("The API server's table");
  cluster.clearFaults();
  await until('it leads again', async () => (await entries()) === 1);
  expect(await explained()).toContain("The API server's table has had it since before this replica became the leader");
});

it('reads the table that another replica writes when Kyverno calls about an image that the target has', async () => {
  await writeFile(service.configFile, configured('kyverno', { table: true }));
  await until('the object has the image', () =>
    cluster.applied.writes.some(({ path, text }) => path === `${TABLES}image-swapper-0` && text.includes(IMAGE)),
  );
  cluster.fault({ verb: 'lease', fault: { type: 'status', code: 500 } });
  await until('it no longer leads', async () => (await entries()) === 0);
  const reads = (): number =>
    cluster.requests.filter(({ method, path }) => method === 'GET' && path.startsWith(TABLES)).length;
  const before = reads();
  await until('Kyverno is answered with the copy', async () => {
    const object = smallPod('new', IMAGE, 'team-a');
    const request = { uid: 'u', operation: 'CREATE', namespace: 'team-a', object };
    const { text } = await post(`${service.url}/v1/kyverno`, JSON.stringify({ request }), {});
    return text.includes(target.host);
  });
  await until('the table is read', () => reads() > before);
  cluster.clearFaults();
  await until('it leads again', async () => (await entries()) === 1);
  await writeFile(service.configFile, configured('mutatingadmissionpolicy'));
}, 60_000);

it('shows 0 once another engine needs no table', async () => {
  await until('the image is in the table', async () => (await entries()) === 1);
  await writeFile(service.configFile, configured('webhook'));
  await until('the table is no longer shown', async () => (await entries()) === 0);
  expect(await explained()).not.toContain("The API server's table");
});
