import { describe, expect, it } from 'vitest';
import { loadImage } from '../../fakes/images.js';
import { image, useCli } from './cli.js';
import { writes } from './copy-pair.js';

const cli = useCli();

describe('mirror', () => {
  it('copies, says so on stdout, and is up to date the second time', async () => {
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', `${cli.source.host}/app:1.0`];
    const first = await cli.swapper(args);
    expect(first).toMatchObject({ code: 0 });
    expect(JSON.parse(first.stdout)).toMatchObject({ images: [{ state: 'mirrored', digest: image.digest }] });
    expect(cli.target.manifest(cli.repository(), '1.0')?.digest).toBe(image.digest);
    expect(JSON.parse((await cli.swapper(args)).stdout)).toMatchObject({ images: [{ state: 'up-to-date' }] });
  });

  it('reads a list from standard input, and in a dry run says what would be sent and sends nothing', async () => {
    const list = `# what we need\n${cli.source.host}/app:1.0   # the app\n\n${cli.source.host}/missing:1\n`;
    const args = ['mirror', '--config', await cli.config(), '--dry-run', '--file', '-'];
    const ended = await cli.swapper([...args, '-o', 'json'], list);
    expect(ended.code).toBe(1);
    const { images, targets } = JSON.parse(ended.stdout) as { images: unknown[]; targets: unknown[] };
    expect(images).toMatchObject([{ state: 'would-mirror', digest: image.digest }, { state: 'failed' }]);
    expect(targets).toMatchObject([{ target: 'default', images: 1 }]);
    expect(new Set(cli.target.accessLog.map(({ method }) => method))).toEqual(new Set(['HEAD']));
    expect((await cli.swapper(args, list)).stdout).toMatch(/would-mirror .*\d manifests, \d+ blobs, at most/);
  });

  it('plans the keeper tag alone when the target has the image of a digest without it, and puts just that', async () => {
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

  it('without an image is a usage error', async () => {
    expect(await cli.swapper(['mirror', '--config', await cli.config()])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('at least one image') as unknown,
    });
  });
});
