import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { BUNDLE } from '../fakes/service.js';
import { Helm } from '../tools/helm.js';
import type { HelmMajor } from '../tools/helm.js';
import { goToolsAvailable } from '../tools/tool.js';

const PLUGIN = fileURLToPath(new URL('../../extension-service/helm-plugin', import.meta.url));
/** The arguments from docs/gitops.md. Helm 4 accepts a plugin, and Helm 3 accepts a program. */
const POST_RENDERER: Readonly<Record<HelmMajor, readonly string[]>> = {
  3: ['--post-renderer', 'image-swapper', '--post-renderer-args', 'swap', '--post-renderer-args', '--file=-'],
  4: ['--post-renderer', 'image-swapper'],
};
const PLACE = /standard input:\d+:\d+: .*Nginx:1/;
const available = await goToolsAvailable('swap as a post-renderer of Helm');

describe.runIf(available)('swap as a post-renderer of Helm', () => {
  let folder: string;
  let bin: string;
  let helms: Readonly<Record<HelmMajor, Helm>>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-post-'));
    const config = join(folder, 'image-swapper.yaml');
    await writeFile(config, stringify({ target: { type: 'oci', oci: { registry: 'harbor.test', prefix: 'mirror' } } }));
    bin = join(folder, 'bin');
    await mkdir(bin);
    await writeFile(
      join(bin, 'image-swapper'),
      `#!/bin/sh\nexec '${process.execPath}' '${BUNDLE}' "$@" --config '${config}'\n`,
    );
    await chmod(join(bin, 'image-swapper'), 0o755);
    const PATH = `${bin}${delimiter}${process.env['PATH'] ?? ''}`;
    helms = { 3: await Helm.create({ PATH }, 3), 4: await Helm.create({ PATH }, 4) };
    await helms[4].ok(['plugin', 'install', PLUGIN]);
    const templates = join(folder, 'chart', 'templates');
    await mkdir(templates, { recursive: true });
    await writeFile(join(folder, 'chart', 'Chart.yaml'), 'apiVersion: v2\nname: web\nversion: 1.0.0\n');
    await writeFile(
      join(templates, 'web.yaml'),
      'apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n' +
        'spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        image: {{ .Values.image }}\n',
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const render = (major: HelmMajor, ...args: readonly string[]): ReturnType<Helm['run']> =>
    helms[major].run(['template', 'web', join(folder, 'chart'), '--set', 'image=nginx:1', ...args]);

  it.each([3, 4] as const)('changes the images that Helm %d renders, and nothing else', async (major) => {
    const plain = await render(major);
    const swapped = await render(major, ...POST_RENDERER[major], '--post-renderer-args', '--namespace=shop');
    expect(swapped).toMatchObject({ code: 0 });
    const objects = (text: string): unknown[] => parseAllDocuments(text).map((document) => document.toJS() as unknown);
    const wanted = plain.stdout.replace('image: nginx:1', 'image: harbor.test/mirror/docker.io/library/nginx:1');
    expect(wanted).not.toBe(plain.stdout);
    expect(objects(swapped.stdout)).toEqual(objects(wanted));
  });

  it('stops Helm 3 with the location of an image that is not a reference', async () => {
    const ended = await render(3, '--set', 'image=Nginx:1', ...POST_RENDERER[3]);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toMatch(PLACE);
  });

  // When this fails because Helm 4 shows the output of a plugin, docs/gitops.md no longer has to explain how to see it.
  it('stops Helm 4, which hides the reason, and prints it behind a pipe', async () => {
    const ended = await render(4, '--set', 'image=Nginx:1', ...POST_RENDERER[4]);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toContain('plugin "image-swapper" exited with error');
    expect(ended.stderr).not.toMatch(PLACE);
    const { stdout } = await render(4, '--set', 'image=Nginx:1');
    const piped = spawnSync(join(bin, 'image-swapper'), ['swap', '-f', '-'], { input: stdout, encoding: 'utf8' });
    expect(piped.status).toBe(1);
    expect(piped.stderr).toMatch(PLACE);
  });
});
