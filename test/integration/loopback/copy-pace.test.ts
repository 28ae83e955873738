import { expect, it } from 'vitest';
import { BlobLedger } from '../../../extension-service/src/registry/ledger.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { TokenBucket } from '../../fakes/token-bucket.js';
import { expectComplete, pair } from './copy-pair.js';

const IMAGES = 12;

/** The first refusals, whatever the rate: a busy machine may never reach the limit. */
const CERTAIN_REFUSALS = 3;

/**
 * Limits the rate of requests. Faster requests get a 429 without a Retry-After. @returns the number of refusals so far
 */
function limit(registry: FakeRegistry, method: string, path: RegExp, perSecond: number): () => number {
  const bucket = new TokenBucket(perSecond, 5);
  let refused = 0;
  registry.fault({
    method,
    path,
    action: () => {
      if (refused >= CERTAIN_REFUSALS && bucket.take()) return { type: 'delay', milliseconds: 0 };
      refused += 1;
      return { type: 'status', status: 429 };
    },
  });
  return () => refused;
}

it.each([
  ['a source that limits reads of blobs', 'source', 'GET', /\/blobs\//],
  ['a target that limits uploads', 'target', 'POST', /\/blobs\/uploads/],
  ['a source that limits HEAD of manifests', 'source', 'HEAD', /\/manifests\//],
  ['a source that limits reads of manifests', 'source', 'GET', /\/manifests\//],
  ['a target that limits manifests', 'target', 'PUT', /\/manifests\//],
  ['a target that limits the bodies of uploads', 'target', 'PUT', /\/blobs\/uploads/],
] as const)('copies of %s adapt to its rate limit without a failure', async (_, end, method, path) => {
  const { source, target, copy } = await pair({ retry: { baseDelay: 100, maxDelay: 1_000 } });
  const refused = limit(end === 'source' ? source : target, method, path, 40);
  const ledger = new BlobLedger();
  const images = Array.from({ length: IMAGES }, (__, seed) => buildImage({ platforms: ['linux/amd64'], seed }));
  images.forEach((image, n) => loadImage(source, `app-${n}`, image, 'v1'));
  const copies = images.map((___, n) =>
    copy({ ledger, from: { repository: `app-${n}` }, to: { repository: `mirror/app-${n}` } }),
  );
  expect((await Promise.all(copies)).map(({ outcome }) => outcome)).toEqual(images.map(() => 'copied'));
  images.forEach((image, n) => expectComplete(target, `mirror/app-${n}`, image));
  expect(refused()).toBeGreaterThan(0);
});
