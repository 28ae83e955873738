import { describe, expect, it } from 'vitest';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { AccessLogEntry } from '../../fakes/registry.js';
import { useCli } from './cli.js';

/** `mirror` between registries whose every answer takes a round trip of 15 ms. The tests read the target's log. */

const cli = useCli();
const CONCURRENCY = 2;
const IMAGES = Array.from({ length: 10 }, (_, index) =>
  buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 5, layerSize: 2_000, seed: 100 + index }),
);

/** The most of them that were open at once: each is opened by one request, and closed by the arrival of another. */
function mostOpen(
  log: readonly AccessLogEntry[],
  opens: (entry: AccessLogEntry) => boolean,
  closes: (entry: AccessLogEntry) => boolean,
): number {
  let [open, most] = [0, 0];
  for (const entry of log) {
    if (opens(entry)) open += 1;
    else if (closes(entry)) open -= 1;
    most = Math.max(most, open);
  }
  return most;
}

const atTag = ({ path }: AccessLogEntry): boolean => path.endsWith('/manifests/1');
const imagesAtOnce = (): number =>
  mostOpen(
    cli.target.accessLog,
    (entry) => entry.method === 'HEAD' && atTag(entry),
    (entry) => entry.method === 'PUT' && atTag(entry),
  );
const blobsAtOnce = (): number =>
  mostOpen(
    cli.target.accessLog,
    ({ method }) => method === 'POST',
    ({ method, path }) => method === 'PUT' && path.includes('/blobs/uploads/'),
  );

async function mirrorAll(mirror: object): Promise<void> {
  for (const registry of [cli.source, cli.target]) {
    registry.fault({ action: { type: 'delay', milliseconds: 15 } });
  }
  IMAGES.forEach((image, index) => loadImage(cli.source, `distant-${index}`, image, '1'));
  const list = IMAGES.map((_, index) => `${cli.source.host}/distant-${index}:1\n`).join('');
  const args = ['mirror', '--config', await cli.config({ mirror }), '--file', '-', '-o', 'json'];
  expect(await cli.swapper(args, list)).toMatchObject({ code: 0 });
  IMAGES.forEach(({ digest }, index) => {
    expect(cli.target.manifest(cli.repository().replace('/app', `/distant-${index}`), '1')?.digest).toBe(digest);
  });
}

describe('mirror between distant registries', () => {
  it('works on more images at once than `concurrency`, with no more blobs at once', async () => {
    await mirrorAll({ concurrency: CONCURRENCY });
    expect(imagesAtOnce()).toBeGreaterThan(CONCURRENCY);
    expect(blobsAtOnce()).toBeLessThanOrEqual(4 * CONCURRENCY);
  });

  it('keeps a configured limit of one registry', async () => {
    await mirrorAll({ concurrency: CONCURRENCY, perTarget: CONCURRENCY });
    expect(imagesAtOnce()).toBeLessThanOrEqual(CONCURRENCY);
  });
});
