import { describe, expect, it } from 'vitest';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import { image, useCli } from './cli.js';
import { writes } from './copy-pair.js';

const cli = useCli();

describe('mirror', () => {
  it('copies and reports it on stdout, and is up to date the second time', async () => {
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', `${cli.source.host}/app:1.0`];
    const first = await cli.spawned(args);
    expect(first).toMatchObject({ code: 0 });
    expect(JSON.parse(first.stdout)).toMatchObject({ images: [{ state: 'mirrored', digest: image.digest }] });
    expect(cli.target.manifest(cli.repository(), '1.0')?.digest).toBe(image.digest);
    expect(JSON.parse((await cli.swapper(args)).stdout)).toMatchObject({ images: [{ state: 'up-to-date' }] });
  });

  it('reports that only the manifest was sent for a second tag of an image', async () => {
    loadImage(cli.source, 'tagged', image, '1');
    loadImage(cli.source, 'tagged', image, '2');
    const config = await cli.config();
    const row = async (tag: string, ...more: string[]) =>
      (await cli.swapper(['mirror', '--config', config, `${cli.source.host}/tagged:${tag}`, ...more])).stdout;
    expect(await row('1', '--dry-run')).toMatch(/: +1 image /);
    await row('1');
    const second = await row('2');
    expect(second).toMatch(/only the manifest sent, [\d.]+ KiB already there/);
    expect(second).not.toContain('0 B');
    const again = JSON.parse(await row('2', '-o', 'json')) as { images: object[] };
    expect(again.images[0]).toMatchObject({ state: 'up-to-date' });
    expect(again.images[0]).not.toHaveProperty('platforms', []);
  });

  it('copies images of many large layers without a warning of Node about listeners', async () => {
    const large = buildImage({ layersPerPlatform: 12, layerSize: 500_000, seed: 7 });
    loadImage(cli.source, 'large', large, '1');
    const ended = await cli.spawned(['mirror', '--config', await cli.config(), `${cli.source.host}/large:1`]);
    expect(ended.code).toBe(0);
    expect(ended.stderr).not.toContain('Warning');
    expect(cli.target.manifest(cli.repository().replace('/app', '/large'), '1')?.digest).toBe(large.digest);
  });

  it('reads a list from standard input, and in a dry run says what would be sent and sends nothing', async () => {
    const list = `# what we need\n${cli.source.host}/app:1.0   # the app\n\n${cli.source.host}/missing:1\n`;
    const args = ['mirror', '--config', await cli.config(), '--dry-run', '--file', '-'];
    const ended = await cli.spawned([...args, '-o', 'json'], list);
    expect(ended.code).toBe(1);
    const { images, targets } = JSON.parse(ended.stdout) as { images: unknown[]; targets: unknown[] };
    expect(images).toMatchObject([{ state: 'would-mirror', digest: image.digest }, { state: 'failed' }]);
    expect(targets).toMatchObject([{ target: 'default', images: 1 }]);
    expect(cli.target.accessLog.filter(({ method }) => method !== 'HEAD' && method !== 'GET')).toEqual([]);
    const windows = await cli.swapper(args, list.replaceAll('\n', '\r\n'));
    expect(windows.stdout).toMatch(/would-mirror .*\d manifests, \d+ blobs, at most/);
    expect(windows.stdout).not.toContain('#');
  });

  it('copies nothing to a pull-through cache and names the image in it', async () => {
    const target = { oci: { registry: cli.target.host, insecure: true }, paths: { [cli.source.host]: 'hub' } };
    const config = await cli.config({ target, imageCopyPolicy: 'none' });
    for (const more of [[], ['--dry-run']]) {
      const args = ['mirror', '--config', config, '-o', 'json', ...more, `${cli.source.host}/app:1.0`];
      const ended = await cli.swapper(args);
      expect(ended).toMatchObject({ code: 0 });
      expect(JSON.parse(ended.stdout)).toMatchObject({
        images: [{ state: 'kept', reference: `${cli.target.host}/hub/app:1.0` }],
      });
    }
    expect(cli.target.accessLog).toEqual([]);
  });

  it('plans pulls as Docker Hub counts them: one per platform manifest that the copy reads', async () => {
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', `${cli.source.host}/app:1.0`];
    const plan = JSON.parse((await cli.swapper([...args, '--dry-run'])).stdout) as object;
    const before = cli.source.accessLog.length;
    expect((await cli.swapper(args)).code).toBe(0);
    const read = cli.source.accessLog
      .slice(before)
      .filter(({ method, path }) => method === 'GET' && path.includes('/manifests/'));
    const pulls = read.filter(({ path }) => [...image.platforms.values()].some((digest) => path.endsWith(digest)));
    expect(pulls.length).toBeGreaterThan(1);
    expect(plan).toMatchObject({ sources: [{ registry: cli.source.host, pulls: pulls.length }] });
    expect(JSON.parse((await cli.swapper([...args, '--dry-run'])).stdout)).toMatchObject({ sources: [] });
  });

  it('plans and writes only the keeper tag when the target has the digest without it', async () => {
    loadImage(cli.target, cli.repository(), image);
    const keeper = `keep-${image.digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', `${cli.source.host}/app@${image.digest}`];
    const plan = JSON.parse((await cli.swapper([...args, '--dry-run'])).stdout) as object;
    expect(plan).toMatchObject({
      images: [{ state: 'would-mirror', digest: image.digest }],
      targets: [{ manifests: 1, blobs: 0, bytes: 0 }],
    });
    expect((await cli.swapper(args)).code).toBe(0);
    expect(writes(cli.target)).toEqual([`PUT /v2/${cli.repository()}/manifests/${keeper}`]);
    const again = JSON.parse((await cli.swapper([...args, '--dry-run'])).stdout) as object;
    expect(again).toMatchObject({ images: [{ state: 'up-to-date' }], targets: [] });
  });

  it('restores what the target has lost, as planned', async () => {
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', `${cli.source.host}/app:1.0`];
    expect((await cli.swapper(args)).code).toBe(0);
    const child = image.platforms.get('linux/arm64') ?? '';
    cli.target.deleteManifest(cli.repository(), child);
    const plan = JSON.parse((await cli.swapper([...args, '--dry-run'])).stdout) as object;
    expect(plan).toMatchObject({ images: [{ state: 'would-mirror' }] });
    const before = writes(cli.target).length;
    const repaired = JSON.parse((await cli.swapper(args)).stdout) as object;
    expect(repaired).toMatchObject({ images: [{ state: 'mirrored', repaired: [`manifest ${child}`] }] });
    const puts = writes(cli.target).slice(before);
    expect(puts).toEqual([
      `PUT /v2/${cli.repository()}/manifests/${child}`,
      `PUT /v2/${cli.repository()}/manifests/1.0`,
    ]);
    expect(plan).toMatchObject({ targets: [{ manifests: puts.length }] });
    expect(JSON.parse((await cli.swapper([...args, '--dry-run'])).stdout)).toMatchObject({
      images: [{ state: 'up-to-date' }],
    });
  });

  it('with --referrers copies later signatures of each platform', async () => {
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', `${cli.source.host}/app:1.0`];
    expect((await cli.swapper(args)).code).toBe(0);
    const [child] = image.manifests;
    if (child === undefined) throw new Error('no platform');
    const { manifest, blobs } = buildReferrer(child, 'application/vnd.dev.sigstore.bundle.v0.3+json', 'bundle');
    for (const blob of blobs) cli.source.putBlob('app', blob);
    cli.source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
    await cli.swapper(args);
    expect(cli.target.manifest(cli.repository(), manifest.digest)).toBeUndefined();
    expect((await cli.swapper([...args, '--referrers'])).code).toBe(0);
    expect(cli.target.manifest(cli.repository(), manifest.digest)?.bytes).toEqual(manifest.bytes);
  });

  it('names an SBOM that could not be copied for a temporary reason, and exits 1', async () => {
    const top = image.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const { manifest } = buildReferrer(top, 'application/spdx+json', 'sbom');
    cli.source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
    cli.source.fault({ method: 'GET', path: manifest.digest, action: { type: 'status', status: 503 } });
    const ended = await cli.swapper([
      'mirror',
      '--config',
      await cli.config(),
      '-o',
      'json',
      `${cli.source.host}/app:1.0`,
    ]);
    expect(ended.code).toBe(1);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      images: [{ state: 'mirrored', unfinished: [`referrer ${manifest.digest}`] }],
    });
    expect(cli.target.manifest(cli.repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('copies two spellings of one image once', async () => {
    const ended = await cli.swapper([
      'mirror',
      '--config',
      await cli.config(),
      `${cli.source.host}/app:1.0`,
      `${cli.source.host}/app:1.0@${image.digest}`,
      `${cli.source.host}/app@${image.digest}`,
      '-o',
      'json',
    ]);
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ images: [{}, {}, {}] });
  });

  it('exits 1 and names what failed, and still copies the rest', async () => {
    const images = [`${cli.source.host}/missing:1`, `${cli.source.host}/app:1.0`, 'Not An Image'];
    const ended = await cli.swapper(['mirror', '--config', await cli.config(), ...images]);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/failed .*missing:1/);
    expect(ended.stdout).toMatch(/failed .*Not An Image/);
    expect(cli.target.manifest(cli.repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('reports a usage error without an image', async () => {
    expect(await cli.spawned(['mirror', '--config', await cli.config()])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('at least one image') as unknown,
    });
  });
});
