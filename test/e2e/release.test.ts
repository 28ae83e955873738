import { execFile, execFileSync, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../fakes/free-port.js';
import { RealRegistry } from '../fakes/real-registry.js';
import { debianTool } from '../tools/debian.js';
import { goTool, goToolsAvailable } from '../tools/tool.js';
import type { ImageConfig } from './image-root.js';
import { ImageRoot } from './image-root.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const hasChart = existsSync(join(root, 'extension-service/chart/Chart.yaml'));
const what = 'the release and the container image';

interface Sbom {
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[];
}

/** Reads the schema of CycloneDX, with the two that it refers to. */
function cyclonedx(): (document: unknown) => string {
  const folder = join(root, 'node_modules/@cyclonedx/cyclonedx-library/res/schema');
  const read = (name: string): object =>
    JSON.parse(readFileSync(join(folder, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(read('spdx'), 'http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json');
  ajv.addSchema(read('jsf-0.82'), 'http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json');
  const validate = ajv.compile(read('bom-1.5'));
  return (document) => (validate(document) ? '' : JSON.stringify(validate.errors, null, 1));
}

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
    let folder: string;
    let release: string;
    let files: string[];
    let helm: string;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'image-swapper-release-test-'));
      release = join(folder, 'release');
      helm = hasChart ? await goTool({ module: 'helm', package: 'helm.sh/helm/v3/cmd/helm' }) : '';
      execFileSync('npm', ['run', 'release:dry', '--', '--output', release], {
        cwd: root,
        // The chart comes from another branch; while it is not there, a release without it is all there can be.
        env: { ...process.env, HELM: helm, ...(!hasChart && { CI: '' }) },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      files = readdirSync(release);
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it('makes every file that docs/release.md lists, and no other', () => {
      const listed = [...readFileSync(join(root, 'docs/release.md'), 'utf8').matchAll(/^\| `([A-Za-z][^`/]*)` \| /gm)]
        .flatMap(([, name = '']) =>
          name.includes('ARCH') ? ['amd64', 'arm64'].map((arch) => name.replace('ARCH', arch)) : [name],
        )
        .map((name) => name.replace('VERSION', version))
        .filter((name) => hasChart || ![`image-swapper-${version}.tgz`, 'index.yaml'].includes(name));
      expect(listed.length).toBeGreaterThan(8);
      expect(files.sort()).toEqual(listed.sort());
    });

    it('has checksums that sha256sum confirms, of every other file', () => {
      const output = execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], {
        cwd: release,
        encoding: 'utf8',
      });
      expect(output.trim().split('\n').sort()).toEqual(
        files
          .filter((file) => file !== 'SHA256SUMS')
          .map((file) => `${file}: OK`)
          .sort(),
      );
    });

    it("tells the changelog's section of this version", () => {
      const notes = readFileSync(join(release, 'RELEASE_NOTES.md'), 'utf8');
      expect(notes).toMatch(new RegExp(`^# image-swapper ${version}\n`));
      expect(notes).toContain('### Added');
      expect(notes).not.toContain('Unreleased');
    });

    it('has packages that npm installs and that run', () => {
      const app = join(folder, 'app');
      const tgz = (name: string): string => join(release, `image-swapper-${name}-${version}.tgz`);
      execFileSync('mkdir', [app]);
      writeFileSync(join(app, 'package.json'), '{"private": true}');
      // Without peers: cdk8s is this repository's, so that nothing is downloaded.
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
        // npm refuses to publish a package with a scope otherwise.
        expect(JSON.parse(readFileSync(manifest, 'utf8'))).toMatchObject({ publishConfig: { access: 'public' } });
      }
      const script = "console.log(Object.keys(require('@image-swapper/cdk8s')).includes('KyvernoMutatingPolicy'))";
      expect(execFileSync(process.execPath, ['-e', script], { cwd: app, encoding: 'utf8' })).toBe('true\n');
    });

    it.skipIf(!hasChart)('has the chart, as Helm reads it', () => {
      const chart = join(release, `image-swapper-${version}.tgz`);
      const shown = execFileSync(helm, ['show', 'chart', chart], { encoding: 'utf8' });
      expect(shown).toMatch(new RegExp(`^appVersion: ${version}$`, 'm'));
      expect(shown).toMatch(new RegExp(`^version: ${version}$`, 'm'));
      const target = ['--set', 'config.target.oci.registry=harbor.example.com', '--set', 'config.target.type=oci'];
      expect(
        execFileSync(helm, ['template', 'x', chart, '--kube-version', '1.36.0', ...target], { encoding: 'utf8' }),
      ).toContain('kind: Deployment');
    });

    it.skipIf(!hasChart)('is a chart repository, from which Helm installs', async () => {
      const server = createServer((request, response) => {
        const file = join(release, new URL(request.url ?? '/', 'http://localhost').pathname);
        response.writeHead(existsSync(file) ? 200 : 404).end(existsSync(file) ? readFileSync(file) : '');
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const home = join(folder, 'helm');
      const env = { ...process.env, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
      const ask = async (...args: string[]): Promise<string> => (await promisify(execFile)(helm, args, { env })).stdout;
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
      const sbom = JSON.parse(readFileSync(join(release, `image-swapper-${version}.cdx.json`), 'utf8')) as Sbom;
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

    describe('the image, pushed to a registry by skopeo and read there by crane', () => {
      let registry: RealRegistry;
      let crane: string;
      let reference: string;
      const ask = (...args: string[]): string =>
        execFileSync(crane, ['--insecure', ...args], { encoding: 'utf8' }).trim();
      const digests = (): Map<string, string> =>
        new Map(
          readFileSync(join(release, 'image-digests.txt'), 'utf8')
            .trim()
            .split('\n')
            .map((line) => line.split(/ {2}image-swapper:[^ ]+ ?/))
            .map(([digest = '', platform = '']) => [platform, digest]),
        );
      const configOf = (platform: string): ImageConfig =>
        JSON.parse(ask('config', '--platform', platform, reference)) as ImageConfig;

      beforeAll(async () => {
        crane = await goTool({ module: 'crane', package: 'github.com/google/go-containerregistry/cmd/crane' });
        registry = await RealRegistry.start();
        reference = `${registry.host}/image-swapper:${version}`;
        // As docs/release.md says.
        execFileSync(skopeo ?? '', [
          ...['copy', '--all', '--preserve-digests', '--quiet', '--dest-tls-verify=false'],
          `oci-archive:${join(release, `image-swapper-${version}.oci.tar`)}`,
          `docker://${reference}`,
        ]);
      });
      afterAll(() => registry.stop());

      it('has the digests that the release lists', () => {
        expect([...digests().keys()].sort()).toEqual(['', 'linux/amd64', 'linux/arm64']);
        expect(ask('digest', reference)).toBe(digests().get(''));
        for (const platform of ['linux/amd64', 'linux/arm64']) {
          expect(ask('digest', '--platform', platform, reference)).toBe(digests().get(platform));
        }
      });

      it.each(['amd64', 'arm64'])('is less than 120 MB for %s, and an upgrade of the bundle less than 5', (arch) => {
        const manifest = JSON.parse(ask('manifest', '--platform', `linux/${arch}`, reference)) as {
          readonly layers: readonly { readonly size: number }[];
        };
        const sizes = manifest.layers.map(({ size }) => size);
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(120e6);
        expect(sizes).toHaveLength(3);
        expect(sizes.at(-1)).toBeLessThan(5e6);
      });

      it.each(['amd64', 'arm64'])('says for %s who runs what', (arch) => {
        const { architecture, os, config } = configOf(`linux/${arch}`);
        expect({ architecture, os }).toEqual({ architecture: arch, os: 'linux' });
        expect(config).toMatchObject({
          User: '65532:65532',
          Entrypoint: ['/usr/bin/node', '/app/image-swapper.cjs'],
          Cmd: ['serve'],
        });
        expect(config.Labels).toMatchObject({
          'org.opencontainers.image.title': 'image-swapper',
          'org.opencontainers.image.version': version,
          'org.opencontainers.image.revision': execFileSync('git', ['rev-parse', 'HEAD'], {
            cwd: root,
            encoding: 'utf8',
          }).trim(),
          'org.opencontainers.image.licenses': 'Apache-2.0',
        });
      });

      it.each([
        ['amd64', 'X86-64'],
        ['arm64', 'AArch64'],
      ])(
        'holds for %s a Node and libraries of that machine, no shell, and nothing that is not root’s',
        (arch, machine) => {
          const tar = join(folder, `${arch}.tar`);
          ask('export', '--platform', `linux/${arch}`, reference, tar);
          const lines = execFileSync('tar', ['-tvf', tar, '--numeric-owner'], { encoding: 'utf8' }).trim().split('\n');
          const paths = lines
            .filter((line) => !line.startsWith('d'))
            .map((line) => (line.split(/\s+/)[5] ?? '').replace(/^\.?\//, ''));
          expect(paths.filter((path) => /^usr\/s?bin\/./.test(path))).toEqual(['usr/bin/node']);
          expect(paths.filter((path) => /(?:^|\/)(?:(?:ba|da|z|k|a)?sh|busybox|dpkg|apt|perl)$/.test(path))).toEqual(
            [],
          );
          expect(lines.filter((line) => line.split(/\s+/)[1] !== '0/0')).toEqual([]);
          expect(lines.filter((line) => /^-..[sS]|^-.....[sS]/.test(line))).toEqual([]);
          // Writable by others: /tmp alone.
          const writable = lines.filter((line) => line.startsWith('d') && line[8] === 'w');
          expect(writable.map((line) => (line.split(/\s+/)[5] ?? '').replace(/^\.?\/|\/$/g, ''))).toEqual(['tmp']);
          const unpacked = join(folder, arch);
          execFileSync('sh', ['-c', `mkdir -p '${unpacked}' && tar -xpf '${tar}' -C '${unpacked}'`]);
          for (const file of [
            'usr/bin/node',
            `usr/lib/${arch === 'amd64' ? 'x86_64' : 'aarch64'}-linux-gnu/libc.so.6`,
          ]) {
            expect(elfMachine(join(unpacked, file)), file).toBe(machine);
          }
        },
      );

      it.each(['amd64', 'arm64'])(
        'has for %s an SBOM with the bundle, Node and the Debian packages that are in it',
        (arch) => {
          const file = join(release, `image-swapper-${version}-linux-${arch}.cdx.json`);
          const sbom = JSON.parse(readFileSync(file, 'utf8')) as Sbom & {
            readonly metadata: { readonly component: { readonly purl: string } };
          };
          expect(cyclonedx()(sbom)).toBe('');
          expect(decodeURIComponent(sbom.metadata.component.purl)).toBe(
            `pkg:oci/image-swapper@${digests().get(`linux/${arch}`)}`,
          );
          const status = join(folder, arch, 'var/lib/dpkg/status.d');
          const installed = readdirSync(status).map((name) => {
            const control = readFileSync(join(status, name), 'utf8');
            return `${name}@${/^Version: (.*)$/m.exec(control)?.[1]}`;
          });
          expect(installed.length).toBeGreaterThan(4);
          const debian = sbom.components.filter(({ purl }) => purl.startsWith('pkg:deb/'));
          expect(debian.map(({ name, version: of }) => `${name}@${of}`).sort()).toEqual(installed.sort());
          const listed = sbom.components.find(({ name }) => name === 'node');
          // The binary of another machine cannot be asked; its version stands in it.
          expect(readFileSync(join(folder, arch, 'usr/bin/node')).includes(`v${listed?.version}`)).toBe(true);
          const own = JSON.parse(readFileSync(join(folder, arch, 'app/image-swapper.cdx.json'), 'utf8')) as Sbom;
          const purls = new Set(sbom.components.map(({ purl }) => purl));
          expect(own.components.filter(({ purl }) => !purls.has(purl))).toEqual([]);
          expect(own.components.length).toBeGreaterThan(100);
        },
      );

      describe('run on a read-only root as its user', () => {
        let image: ImageRoot;
        let env: Record<string, string>;
        beforeAll(() => {
          const tar = join(folder, 'amd64.tar');
          if (!existsSync(tar)) ask('export', '--platform', 'linux/amd64', reference, tar);
          image = ImageRoot.unpack(tar, join(folder, 'amd64-root'), configOf('linux/amd64'));
          env = {
            IMAGE_SWAPPER_TARGET_TYPE: 'oci',
            IMAGE_SWAPPER_TARGET_OCI_REGISTRY: registry.host,
            IMAGE_SWAPPER_TARGET_OCI_INSECURE: 'true',
          };
        });

        it('is that user, on that root, with the certificates of public authorities', () => {
          const seen: unknown = JSON.parse(
            image.node(`
            const { existsSync, readFileSync, writeFileSync } = require('node:fs');
            const attempt = (action) => { try { action(); return 'ok'; } catch ({ code }) { return code; } };
            console.log(JSON.stringify({
              user: [process.getuid(), process.getgid(), process.getgroups()],
              write: attempt(() => writeFileSync('/tmp/x', '')),
              shell: attempt(() => { throw require('node:child_process').spawnSync('sh', ['-c', 'true']).error; }),
              authorities: require('node:tls').createSecureContext({ ca: readFileSync('/etc/ssl/certs/ca-certificates.crt') })
                && readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').split('BEGIN CERTIFICATE').length > 100,
              name: require('node:os').userInfo().username,
              version: process.version,
            }))`),
          );
          const { config } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
            config: { secondNode: string };
          };
          expect(seen).toEqual({
            user: [65532, 65532, [65532]],
            write: 'EROFS',
            shell: 'ENOENT',
            authorities: true,
            name: 'nonroot',
            // The Node that CI tests with.
            version: `v${config.secondNode}`,
          });
        });

        it('tells its version', () => {
          expect(image.run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
        });

        it('checks a registry by a push', async () => {
          const { status, stdout, stderr } = image.run(['check', '--online'], env);
          expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
          expect(stdout).toMatch(new RegExp(`^ok +.*${registry.host}`, 'm'));
          await expect.poll(() => registry.accessLog().map(({ method }) => method)).toContain('POST');
        });

        it('serves, and ends at SIGTERM', async () => {
          const [metrics, admission] = [await freePort(), await freePort()];
          const addresses = ['--metrics-address', `127.0.0.1:${metrics}`, '--listen-address', `127.0.0.1:${admission}`];
          const child = image.start(['serve', ...addresses], env);
          try {
            expect(await until(child, `http://127.0.0.1:${metrics}/healthz`)).toBe(200);
            const pod = { image: 'nginx:1.27', namespace: 'default' };
            const answer = await fetch(`http://127.0.0.1:${admission}/v1/explain`, {
              method: 'POST',
              body: JSON.stringify(pod),
            });
            expect(await answer.text()).toContain(`${registry.host}/docker.io/library/nginx:1.27`);
          } finally {
            child.kill('SIGTERM');
          }
          expect(await once(child, 'exit')).toEqual([0, null]);
        });
      });
    });

    it('gives the same bytes once more', () => {
      const again = join(folder, 'again');
      execFileSync('npm', ['run', 'release:dry', '--', '--without-image', '--output', again], {
        cwd: root,
        env: { ...process.env, HELM: helm, ...(!hasChart && { CI: '' }) },
        stdio: 'ignore',
      });
      const same = readdirSync(again).filter((name) => name !== 'SHA256SUMS');
      expect(same).toHaveLength(hasChart ? 6 : 4);
      for (const file of same) {
        expect(spawnSync('cmp', [join(release, file), join(again, file)]).status, file).toBe(0);
      }
      const layout = join(folder, 'layout');
      execFileSync(process.execPath, ['extension-service/scripts/image.mjs', layout, '--arch', 'amd64'], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const digests = readFileSync(join(release, 'image-digests.txt'), 'utf8');
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

/** The machine that an ELF file is for, by its header (e_machine, ELF specification). */
function elfMachine(file: string): string {
  const header = readFileSync(file).subarray(0, 20);
  expect(header.subarray(0, 4)).toEqual(Buffer.from([0x7f, 0x45, 0x4c, 0x46]));
  return { 62: 'X86-64', 183: 'AArch64' }[header.readUInt16LE(18)] ?? 'another';
}

/** The status of the URL once it answers. @throws Error when the process ends before */
async function until(child: ChildProcess, url: string): Promise<number> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  for (let i = 0; i < 200; i += 1) {
    if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}: ${output}`);
    const status = await fetch(url).then(
      (answer) => answer.status,
      () => undefined,
    );
    if (status !== undefined) return status;
    await sleep(50);
  }
  throw new Error(`the service does not answer: ${output}`);
}
