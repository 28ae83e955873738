import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, version } from './made-release.js';
import type { MadeRelease } from './made-release.js';
import { PushedImage } from './pushed-image.js';
import { describeRunning } from './running-image-tests.js';
import { cyclonedx } from './sbom.js';
import type { Sbom } from './sbom.js';

/** Tests of the release's image. They are in a separate file but use the same release, whose build takes minutes. */
export function describeImage(made: MadeRelease, skopeo: string): void {
  describe('the image, pushed to a registry by skopeo and read there by crane', () => {
    let image: PushedImage;
    beforeAll(async () => {
      image = await PushedImage.push(made, skopeo);
    });
    afterAll(() => image?.registry.stop());

    it('has the digests that the release lists', () => {
      expect([...made.digests().keys()].sort()).toEqual(['', 'linux/amd64', 'linux/arm64']);
      expect(image.ask('digest', image.reference)).toBe(made.digests().get(''));
      for (const platform of ['linux/amd64', 'linux/arm64']) {
        expect(image.ask('digest', '--platform', platform, image.reference)).toBe(made.digests().get(platform));
      }
    });

    it.each(['amd64', 'arm64'])('is less than 120 MB for %s, and an upgrade of the bundle less than 5', (arch) => {
      const manifest = JSON.parse(image.ask('manifest', '--platform', `linux/${arch}`, image.reference)) as {
        readonly layers: readonly { readonly size: number }[];
      };
      const sizes = manifest.layers.map(({ size }) => size);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(120e6);
      expect(sizes).toHaveLength(3);
      expect(sizes.at(-1)).toBeLessThan(5e6);
    });

    it.each(['amd64', 'arm64'])('explains the roles for %s', (arch) => {
      const { architecture, os, config } = image.config(`linux/${arch}`);
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
        const tar = join(made.folder, `${arch}.tar`);
        image.ask('export', '--platform', `linux/${arch}`, image.reference, tar);
        const lines = execFileSync('tar', ['-tvf', tar, '--numeric-owner'], { encoding: 'utf8' }).trim().split('\n');
        const paths = lines
          .filter((line) => !line.startsWith('d'))
          .map((line) => (line.split(/\s+/)[5] ?? '').replace(/^\.?\//, ''));
        expect(paths.filter((path) => /^usr\/s?bin\/./.test(path))).toEqual(['usr/bin/node']);
        expect(paths.filter((path) => /(?:^|\/)(?:(?:ba|da|z|k|a)?sh|busybox|dpkg|apt|perl)$/.test(path))).toEqual([]);
        expect(lines.filter((line) => line.split(/\s+/)[1] !== '0/0')).toEqual([]);
        expect(lines.filter((line) => /^-..[sS]|^-.....[sS]/.test(line))).toEqual([]);
        // Only /tmp is writable by others.
        const writable = lines.filter((line) => line.startsWith('d') && line[8] === 'w');
        expect(writable.map((line) => (line.split(/\s+/)[5] ?? '').replace(/^\.?\/|\/$/g, ''))).toEqual(['tmp']);
        const unpacked = join(made.folder, arch);
        execFileSync('sh', ['-c', `mkdir -p '${unpacked}' && tar -xpf '${tar}' -C '${unpacked}'`]);
        for (const file of ['usr/bin/node', `usr/lib/${arch === 'amd64' ? 'x86_64' : 'aarch64'}-linux-gnu/libc.so.6`]) {
          expect(elfMachine(join(unpacked, file)), file).toBe(machine);
        }
      },
    );

    it.each(['amd64', 'arm64'])(
      'has for %s an SBOM with the bundle, Node and the Debian packages that are in it',
      (arch) => {
        const file = join(made.release, `image-swapper-${version}-linux-${arch}.cdx.json`);
        const sbom = JSON.parse(readFileSync(file, 'utf8')) as Sbom & {
          readonly metadata: { readonly component: { readonly purl: string } };
        };
        expect(cyclonedx()(sbom)).toBe('');
        expect(decodeURIComponent(sbom.metadata.component.purl)).toBe(
          `pkg:oci/image-swapper@${made.digests().get(`linux/${arch}`)}`,
        );
        const status = join(made.folder, arch, 'var/lib/dpkg/status.d');
        const installed = readdirSync(status).map((name) => {
          const control = readFileSync(join(status, name), 'utf8');
          return `${name}@${/^Version: (.*)$/m.exec(control)?.[1]}`;
        });
        expect(installed.length).toBeGreaterThan(4);
        const debian = sbom.components.filter(({ purl }) => purl.startsWith('pkg:deb/'));
        expect(debian.map(({ name, version: of }) => `${name}@${of}`).sort()).toEqual(installed.sort());
        const listed = sbom.components.find(({ name }) => name === 'node');
        // The binary of another architecture cannot run here. The test searches the file for the version.
        expect(readFileSync(join(made.folder, arch, 'usr/bin/node')).includes(`v${listed?.version}`)).toBe(true);
        const own = JSON.parse(readFileSync(join(made.folder, arch, 'app/image-swapper.cdx.json'), 'utf8')) as Sbom;
        const purls = new Set(sbom.components.map(({ purl }) => purl));
        expect(own.components.filter(({ purl }) => !purls.has(purl))).toEqual([]);
        expect(own.components.length).toBeGreaterThan(100);
      },
    );

    describeRunning(made, () => image);
  });
}

/** Returns the architecture of an ELF file from its header (e_machine, ELF specification). */
function elfMachine(file: string): string {
  const header = readFileSync(file).subarray(0, 20);
  expect(header.subarray(0, 4)).toEqual(Buffer.from([0x7f, 0x45, 0x4c, 0x46]));
  return { 62: 'X86-64', 183: 'AArch64' }[header.readUInt16LE(18)] ?? 'another';
}
