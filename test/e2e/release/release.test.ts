import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { debianTool } from '../../tools/debian.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { describeImage } from './image-tests.js';
import { MadeRelease, root, version } from './made-release.js';
import { cyclonedx } from './sbom.js';
import type { Sbom } from './sbom.js';

const require = createRequire(import.meta.url);
const what = 'the release and the container image';
const tools = debianTool('buildah') !== undefined && debianTool('mmdebstrap') !== undefined;
const skopeo = debianTool('skopeo');
const isRoot = process.getuid?.() === 0;
if (!isRoot) {
  const message = 'running the image needs root, for its mounts and its user';
  if (process.env['CI'] !== undefined) throw new Error(message);
  process.stderr.write(`\n*** SKIPPED: ${what}: ${message} ***\n\n`);
}

describe.skipIf(!tools || skopeo === undefined || !isRoot || !(await goToolsAvailable(what)))(
  'npm run release:dry',
  () => {
    const made = new MadeRelease();
    beforeAll(() => made.make());
    afterAll(() => made.remove());

    it('makes every file that docs/release.md lists, and no other', () => {
      const listed = [...readFileSync(join(root, 'docs/release.md'), 'utf8').matchAll(/^\| `([A-Za-z][^`/]*)` \| /gm)]
        .flatMap(([, name = '']) =>
          name.includes('ARCH') ? ['amd64', 'arm64'].map((arch) => name.replace('ARCH', arch)) : [name],
        )
        .map((name) => name.replace('VERSION', version));
      expect(listed.length).toBeGreaterThan(8);
      expect(made.files.sort()).toEqual(listed.sort());
    });

    it('has checksums of every other file that sha256sum confirms', () => {
      const output = execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], {
        cwd: made.release,
        encoding: 'utf8',
      });
      expect(output.trim().split('\n').sort()).toEqual(
        made.files
          .filter((file) => file !== 'SHA256SUMS')
          .map((file) => `${file}: OK`)
          .sort(),
      );
    });

    it("shows the changelog's section of this version", () => {
      const notes = readFileSync(join(made.release, 'RELEASE_NOTES.md'), 'utf8');
      expect(notes).toMatch(new RegExp(`^# image-swapper ${version}\n`));
      expect(notes).toContain('### Added');
      expect(notes).not.toContain('Unreleased');
    });

    it('has packages that npm installs and that run', () => {
      const app = join(made.folder, 'app');
      const tgz = (name: string): string => join(made.release, `image-swapper-${name}-${version}.tgz`);
      execFileSync('mkdir', [app]);
      writeFileSync(join(app, 'package.json'), '{"private": true}');
      // The install skips peers and uses cdk8s from this repository, so that nothing is downloaded.
      execFileSync(
        'npm',
        ['install', '--offline', '--omit=peer', '--legacy-peer-deps', tgz('cdk8s'), tgz('extension-service')],
        {
          cwd: app,
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      const command = join(app, 'node_modules/.bin/image-swapper');
      expect(execFileSync(command, ['--version'], { encoding: 'utf8' })).toBe(`${version}\n`);
      expect(readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
        '@image-swapper',
      ]);
      for (const peer of ['cdk8s', 'constructs']) {
        const from = join(require.resolve(`${peer}/package.json`), '..');
        execFileSync('ln', ['-s', from, join(app, 'node_modules', peer)]);
      }
      for (const name of ['cdk8s', 'extension-service']) {
        const manifest = join(app, 'node_modules/@image-swapper', name, 'package.json');
        // Without this setting, npm refuses to publish a scoped package.
        expect(JSON.parse(readFileSync(manifest, 'utf8'))).toMatchObject({ publishConfig: { access: 'public' } });
      }
      const script = "console.log(Object.keys(require('@image-swapper/cdk8s')).includes('KyvernoMutatingPolicy'))";
      expect(execFileSync(process.execPath, ['-e', script], { cwd: app, encoding: 'utf8' })).toBe('true\n');
    });

    it('has the chart in a form that Helm reads', () => {
      const chart = join(made.release, `image-swapper-${version}.tgz`);
      const shown = execFileSync(made.helm, ['show', 'chart', chart], { encoding: 'utf8' });
      expect(shown).toMatch(new RegExp(`^appVersion: ${version}$`, 'm'));
      expect(shown).toMatch(new RegExp(`^version: ${version}$`, 'm'));
      const target = ['--set', 'config.target.oci.registry=harbor.example.com', '--set', 'config.target.type=oci'];
      expect(
        execFileSync(made.helm, ['template', 'x', chart, '--kube-version', '1.36.0', ...target], { encoding: 'utf8' }),
      ).toContain('kind: Deployment');
    });

    it('is a chart repository, from which Helm installs', async () => {
      const server = createServer((request, response) => {
        const file = join(made.release, new URL(request.url ?? '/', 'http://localhost').pathname);
        response.writeHead(existsSync(file) ? 200 : 404).end(existsSync(file) ? readFileSync(file) : '');
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const home = join(made.folder, 'helm');
      const env = { ...process.env, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
      const ask = async (...args: string[]): Promise<string> =>
        (await promisify(execFile)(made.helm, args, { env })).stdout;
      try {
        const { port } = server.address() as AddressInfo;
        await ask('repo', 'add', 'image-swapper', `http://127.0.0.1:${port}`);
        expect(await ask('search', 'repo', 'image-swapper/image-swapper')).toContain(version);
        expect(await ask('show', 'chart', 'image-swapper/image-swapper', '--version', version)).toContain(version);
      } finally {
        server.close();
      }
    });

    it('has an SBOM with exactly the packages that esbuild put into the bundle', () => {
      const sbom = JSON.parse(readFileSync(join(made.release, `image-swapper-${version}.cdx.json`), 'utf8')) as Sbom;
      expect(cyclonedx()(sbom)).toBe('');
      const inputs = JSON.parse(
        readFileSync(join(root, 'extension-service/dist/image-swapper.inputs.json'), 'utf8'),
      ) as string[];
      const bundled = inputs.flatMap((input) => {
        const [, path] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
        if (path === undefined) return [];
        const manifest = join(root, 'extension-service', path, 'package.json');
        const installed = JSON.parse(readFileSync(manifest, 'utf8')) as { name: string; version: string };
        return [`${installed.name}@${installed.version}`];
      });
      expect(bundled.length).toBeGreaterThan(1000);
      const listed = sbom.components.map(({ name, version: of, purl }) => {
        expect(purl).toBe(`pkg:npm/${name.replace('@', '%40')}@${of}`);
        return `${name}@${of}`;
      });
      expect(listed.sort()).toEqual([...new Set(bundled)].sort());
    });

    describeImage(made, skopeo ?? '');

    it('produces the same bytes in a second run', () => {
      const again = join(made.folder, 'again');
      made.run('--without-image', '--output', again);
      const same = readdirSync(again).filter((name) => name !== 'SHA256SUMS');
      expect(same).toHaveLength(6);
      for (const file of same) {
        expect(spawnSync('cmp', [join(made.release, file), join(again, file)]).status, file).toBe(0);
      }
      const layout = join(made.folder, 'layout');
      execFileSync(process.execPath, ['extension-service/scripts/image.mjs', layout, '--arch', 'amd64'], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const digests = readFileSync(join(made.release, 'image-digests.txt'), 'utf8');
      const [first] = (
        JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: { digest: string }[] }
      ).manifests;
      const index = JSON.parse(
        readFileSync(join(layout, 'blobs', (first?.digest ?? '').replace(':', '/')), 'utf8'),
      ) as {
        readonly manifests: readonly { readonly digest: string }[];
      };
      expect(index.manifests).toHaveLength(1);
      expect(digests).toContain(`${index.manifests[0]?.digest}  image-swapper:${version} linux/amd64`);
    });
  },
);
