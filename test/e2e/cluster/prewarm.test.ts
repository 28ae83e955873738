import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RealRegistry } from '../../fakes/real-registry.js';

import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { WATCHING, serviceAccount } from './service-account.js';
import type { Rights } from './service-account.js';

const available = await goToolsAvailable('prewarm at a real API server');

const WITH_SECRETS: Rights = {
  ...WATCHING,
  cluster: [
    ...(WATCHING.cluster ?? []),
    { apiGroups: [''], resources: ['secrets', 'serviceaccounts'], verbs: ['get', 'list', 'watch'] },
  ],
};
const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 5_000 });

describe.skipIf(!available)('prewarm at a real API server', () => {
  let plane: ControlPlane;
  let target: RealRegistry;
  let open: FakeRegistry;
  let closed: FakeRegistry;
  let folder: string;
  const [user, password] = ['puller', 'let-me-in'];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-prewarm-'));
    [plane, target, open, closed] = await Promise.all([
      ControlPlane.start(),
      RealRegistry.start(),
      FakeRegistry.start(),
      FakeRegistry.start({ auth: { type: 'basic', users: { [user]: password } } }),
    ]);
    for (const name of ['deployed', 'system']) loadImage(open, name, image, '1');
    loadImage(closed, 'private', image, '1');
    const account = { namespace: 'image-swapper', name: 'prewarm', rights: WITH_SECRETS };
    await writeFile(join(folder, 'kubeconfig'), await serviceAccount(plane.api, account));
    const registry = (host: string): string => `{type: oci, oci: {registry: '${host}', insecure: true}}`;
    await writeFile(
      join(folder, 'image-swapper.yaml'),
      `target: {type: oci, oci: {registry: '${target.host}', prefix: mirror, insecure: true}}\n` +
        `source:\n  registries: [${registry(open.host)}, ${registry(closed.host)}]\n` +
        `  filters: [{jmespath: "obj.metadata.labels.mirror == 'no'"}]\n`,
    );
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' } });
    await deploy('deployed', 'team-a', `${open.host}/deployed:1`);
    await deploy('system', 'kube-system', `${open.host}/system:1`);
    await deploy('filtered', 'team-a', `${open.host}/deployed:none`, {}, { mirror: 'no' });
    // Two Deployments use the image, but only the second may pull it.
    await deploy('a-refused', 'team-a', `${closed.host}/private:1`);
    await deploy('b-allowed', 'team-a', `${closed.host}/private:1`, { imagePullSecrets: [{ name: 'pull' }] });
    const auths = { [closed.host]: { auth: Buffer.from(`${user}:${password}`).toString('base64') } };
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'pull', namespace: 'team-a' },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
    });
  }, 180_000);
  afterAll(async () => {
    await Promise.all([plane?.stop(), target?.stop(), open?.close(), closed?.close()]);
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  async function deploy(name: string, namespace: string, uses: string, spec = {}, labels = {}): Promise<void> {
    const selected = { app: name, ...labels };
    await plane.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: {
        replicas: 0,
        selector: { matchLabels: selected },
        template: { metadata: { labels: selected }, spec: { containers: [{ name: 'app', image: uses }], ...spec } },
      },
    });
  }

  const prewarm = (...args: string[]) =>
    runProgram(
      ['prewarm', '--kubeconfig', join(folder, 'kubeconfig'), '-o', 'json', ...args],
      { HOME: folder },
      folder,
    );

  async function digestInTarget(source: FakeRegistry, name: string): Promise<string | null> {
    const path = `mirror/${source.host.replace(':', '_')}/${name}`;
    const response = await fetch(`http://${target.host}/v2/${path}/manifests/1`, {
      headers: { accept: 'application/vnd.oci.image.index.v1+json' },
    });
    return response.headers.get('docker-content-digest');
  }

  it('plans without sending, then mirrors the images of workloads, and reports them as present in the next run', async () => {
    const planned = await prewarm('--dry-run');
    expect(planned.code, planned.stderr).toBe(0);
    const plan = JSON.parse(planned.stdout) as { images: { image: string; state: string }[]; targets: object[] };
    expect(plan.images.map(({ image: name, state }) => [name, state]).sort()).toEqual(
      [
        [`${closed.host}/private:1`, 'would-mirror'],
        [`${open.host}/deployed:1`, 'would-mirror'],
      ].sort(),
    );
    expect(plan.targets).toEqual([
      expect.objectContaining({ target: 'default', images: 2, platforms: ['linux/amd64', 'linux/arm64'] }),
    ]);
    expect(await digestInTarget(open, 'deployed')).toBeNull();

    const done = await prewarm();
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toContain('use 2 images');
    expect(await digestInTarget(open, 'deployed')).toBe(image.digest);
    expect(await digestInTarget(closed, 'private')).toBe(image.digest);
    expect(await digestInTarget(open, 'system')).toBeNull();

    const asked = open.accessLog.length;
    const again = await prewarm();
    const { images } = JSON.parse(again.stdout) as { images: { state: string }[] };
    expect(images.map(({ state }) => state)).toEqual(['up-to-date', 'up-to-date']);
    // The source only gets requests for signatures and similar objects that were added later.
    const reads = open.accessLog.slice(asked).map(({ path }) => path);
    expect(reads.filter((path) => !/\/referrers\/|\/manifests\/sha256-/.test(path))).toEqual([]);
  }, 60_000);

  it('names the missing right when it may not list the workloads', async () => {
    const account = { namespace: 'image-swapper', name: 'nobody', rights: {} };
    const file = join(folder, 'nobody');
    await writeFile(file, await serviceAccount(plane.api, account));
    const { code, stderr } = await runProgram(['prewarm', '--kubeconfig', file], { HOME: folder }, folder);
    expect(code).toBe(3);
    expect(stderr).toMatch(/workloads cannot be listed: .*: .*403.*grant the verb list/s);
  });

  it('names the places where it looked for a cluster when it finds none', async () => {
    const { code, stderr } = await runProgram(['prewarm'], { HOME: folder }, folder);
    expect(code).toBe(2);
    expect(stderr).toContain(`set --kubeconfig or KUBECONFIG, or write ${join(folder, '.kube', 'config')}`);
  });
});
