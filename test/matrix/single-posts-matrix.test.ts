import { describe, expect, it } from 'vitest';
import { goToolsAvailable } from '../tools/tool.js';
import { REGISTRY_KINDS } from './registry-kinds.js';
import { copySmallBlobs } from './small-blobs.js';

/** `test/integration/real/single-posts.test.ts` does the same with registries that start fast. */
const available = await goToolsAvailable('single POSTs at registries with a database');
const SLOW_KINDS = REGISTRY_KINDS.filter(({ isSlow }) => isSlow === true);

describe.skipIf(!available)('small blobs', () => {
  it.each(SLOW_KINDS)('are copied to $name in one request each', async (kind) => {
    const { single, ended, blobsPerImage } = await copySmallBlobs(kind);
    expect(new Set(single)).toEqual(new Set([201]));
    expect(single.length + ended).toBe(2 * blobsPerImage);
    // Blobs of the first image are uploaded while the first single POST is checked.
    expect(single.length).toBeGreaterThan(blobsPerImage);
  });
});
