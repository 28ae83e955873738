import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealRegistry } from '../../../fakes/real-registry.js';
import { CHART, Helm } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable('repositories of the Helm chart');
const TARGET = ['--set', 'config.target.aws.accountId=012345678901', '--set', 'config.target.aws.region=eu-central-1'];

describe.skipIf(!available)('the packaged chart', () => {
  let helm: Helm;
  let folder: string;
  let archive: string;
  let files: Server;
  let registry: RealRegistry;

  beforeAll(async () => {
    helm = await Helm.create();
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-charts-'));
    await helm.ok(['package', CHART, '-d', folder]);
    const [name = ''] = await readdir(folder);
    archive = join(folder, name);
    files = createServer((request, response) => {
      readFile(join(folder, request.url ?? '')).then(
        (content) => response.end(content),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    registry = await RealRegistry.start();
  });
  afterAll(async () => {
    files?.close();
    await registry?.stop();
  });

  it('is installed from a repository with an index, as the guide says', async () => {
    const url = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
    await helm.ok(['repo', 'index', folder, '--url', url]);
    await helm.ok(['repo', 'add', 'image-swapper', url]);
    await helm.ok(['repo', 'update']);
    expect(await helm.ok(['search', 'repo', 'image-swapper/image-swapper'])).toContain('0.1.0');
    const direct = await helm.template({ args: TARGET });
    const chart = 'image-swapper/image-swapper';
    expect((await helm.template({ chart, args: TARGET })).stdout).toBe(direct.stdout);
    expect(direct.stdout).toContain('kind: MutatingPolicy');
  });

  it('is installed from an OCI registry', async () => {
    const oci = `oci://${registry.host}/charts`;
    await helm.ok(['push', archive, oci, '--plain-http']);
    const chart = `${oci}/image-swapper`;
    const { code, stdout, stderr } = await helm.template({
      chart,
      args: [...TARGET, '--plain-http', '--version', '0.1.0'],
    });
    expect(stderr).toContain('Pulled');
    expect(code).toBe(0);
    expect(stdout).toContain('kind: MutatingPolicy');
    expect(registry.accessLog()).toContainEqual(
      expect.objectContaining({ method: 'GET', path: '/v2/charts/image-swapper/manifests/0.1.0', status: 200 }),
    );
  });

  it('has no file in it that only makes it', async () => {
    const show = await helm.ok(['show', 'readme', archive]);
    expect(show).toContain('| value | default | meaning |');
  });
});
