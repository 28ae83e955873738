import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import type { ClusterFault } from '../../fakes/cluster/faults.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runHere, runProgram } from '../../fakes/program.js';
import { FakeRegistry } from '../../fakes/registry.js';

const PODS = '/api/v1/pods';

let cluster: FakeCluster;
let source: FakeRegistry;
let folder: string;

beforeEach(async () => {
  [cluster, source] = [await FakeCluster.start(), await FakeRegistry.start()];
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-prewarm-'));
  const registry = `{registry: '${source.host}', insecure: true}`;
  await writeFile(
    join(folder, 'image-swapper.yaml'),
    `target: {type: oci, oci: ${registry.replace('{', '{prefix: mirror, ')}}\n` +
      `source: {registries: [{type: oci, oci: ${registry}}]}\n`,
  );
});
afterEach(async () => {
  await Promise.all([cluster.close(), source.close()]);
  await rm(folder, { recursive: true });
});

function addPod(name: string, namespace: string): void {
  loadImage(source, name, buildImage({ seed: 1 }), '1');
  cluster.collection(PODS).put(smallPod(name, `${source.host}/${name}:1`, namespace));
}

/** @returns names of the images that the command would mirror */
async function plan(namespace: string | undefined, env: Record<string, string> = {}, run = runHere): Promise<string[]> {
  const file = join(folder, 'kubeconfig');
  const config = JSON.parse(cluster.kubeconfig(namespace)) as { contexts: { context: { namespace?: string } }[] };
  if (namespace === undefined) delete config.contexts[0]?.context.namespace;
  await writeFile(file, JSON.stringify(config));
  const { code, stdout, stderr } = await run(['prewarm', '--kubeconfig', file, '-o', 'json', '--dry-run'], {
    env: { HOME: folder, ...env },
    cwd: folder,
  });
  expect(code, stderr).toBe(0);
  const { images } = JSON.parse(stdout) as { images: { image: string }[] };
  return images.map(({ image }) => image.slice(image.indexOf('/') + 1)).sort();
}

it("mirrors the images of the kubeconfig's namespace or of default outside a Pod", async () => {
  addPod('here', 'team-a');
  addPod('there', 'default');
  addPod('ours', 'platform');
  const built: typeof runHere = (args, { env, cwd }) => runProgram(args, env, cwd);
  expect(await plan('team-a', {}, built)).toEqual(['here:1', 'ours:1', 'there:1']);
  expect(await plan(undefined, { POD_NAMESPACE: 'platform' })).toEqual(['here:1', 'there:1']);
});

it.each<[string, ClusterFault]>([
  ['is busy', { type: 'status', code: 429, headers: { 'retry-after': '1' } }],
  ['cuts a connection', { type: 'cut', after: 100 }],
  ['forgets the list', { type: 'status', code: 410 }],
])('continues when the API server %s between two pages', async (_, fault) => {
  addPod('first', 'team-a');
  cluster.collection(PODS).generate(120, (index) => smallPod(`pod-${index}`, `${source.host}/first:1`));
  addPod('last', 'team-a');
  cluster.fault({ verb: 'list', path: PODS, after: 1, times: 1, fault });
  expect(await plan('team-a')).toEqual(['first:1', 'last:1']);
});
