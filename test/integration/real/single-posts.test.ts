import { describe, expect, it } from 'vitest';
import { QUICK_KINDS } from '../../matrix/registry-kinds.js';
import { copySmallBlobs } from '../../matrix/small-blobs.js';
import { goToolsAvailable } from '../../tools/tool.js';

/** `test/matrix/single-posts-matrix.test.ts` does the same with registries that start slowly. */
const available = await goToolsAvailable('single POSTs at real registries');

describe.skipIf(!available)('small blobs', () => {
  it.each(QUICK_KINDS)('are copied to $name, in one request each if it accepts single POSTs', async (kind) => {
    const { single, ended, blobsPerImage } = await copySmallBlobs(kind);
    if (kind.name.startsWith('distribution')) {
      expect(single).toEqual([202]);
      expect(ended).toBe(2 * blobsPerImage);
    } else {
      expect(new Set(single)).toEqual(new Set([201]));
      expect(single.length + ended).toBe(2 * blobsPerImage);
      // Blobs of the first image are uploaded while the first single POST is checked.
      expect(single.length).toBeGreaterThan(blobsPerImage);
    }
  });
});
