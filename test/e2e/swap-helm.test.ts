import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { BUNDLE } from '../fakes/service.js';
import { Helm } from '../tools/helm.js';
import { goToolsAvailable } from '../tools/tool.js';

const available = await goToolsAvailable('swap as a post-renderer of Helm');

describe.runIf(available)('swap as a post-renderer of Helm', () => {
  let folder: string;
  let helm: Helm;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-post-'));
    const config = join(folder, 'image-swapper.yaml');
    await writeFile(config, stringify({ target: { type: 'oci', oci: { registry: 'harbor.test', prefix: 'mirror' } } }));
    // The command of the plugin for Helm 4, with the configuration by the environment.
    const plugin = parse(
      await readFile(new URL('../../extension-service/helm-plugin/plugin.yaml', import.meta.url), 'utf8'),
    ) as {
      runtimeConfig: { platformCommand: { command: string; args: string[] }[] };
    };
    const [command] = plugin.runtimeConfig.platformCommand;
    expect(command?.command).toBe('image-swapper');
    const bin = join(folder, 'bin');
    await mkdir(bin);
    await writeFile(
      join(bin, 'image-swapper'),
      `#!/bin/sh\nexec '${process.execPath}' '${BUNDLE}' "$@" --config '${config}'\n`,
    );
    await writeFile(join(bin, 'post-render'), `#!/bin/sh\nexec image-swapper ${command?.args.join(' ')} "$@"\n`);
    await Promise.all(['image-swapper', 'post-render'].map((name) => chmod(join(bin, name), 0o755)));
    helm = await Helm.create({ PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` });
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

  const template = (...args: readonly string[]): ReturnType<Helm['run']> =>
    helm.run(['template', 'web', join(folder, 'chart'), '--set', 'image=nginx:1', ...args]);

  it('changes the images that Helm 3 renders, and nothing else', async () => {
    const plain = await template();
    const swapped = await template('--post-renderer', 'post-render', '--post-renderer-args', '--namespace=shop');
    expect(swapped).toMatchObject({ code: 0 });
    const objects = (text: string): unknown[] => parseAllDocuments(text).map((document) => document.toJS() as unknown);
    const wanted = plain.stdout.replace('image: nginx:1', 'image: harbor.test/mirror/docker.io/library/nginx:1');
    expect(wanted).not.toBe(plain.stdout);
    expect(objects(swapped.stdout)).toEqual(objects(wanted));
  });

  it('stops Helm with the place of an image that is not a reference', async () => {
    const ended = await template('--set', 'image=Nginx:1', '--post-renderer', 'post-render');
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toMatch(/standard input:\d+:\d+: .*Nginx:1/);
  });
});
