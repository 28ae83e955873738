import { describe, expect, it } from 'vitest';
import { measureCluster } from '../bench/cluster-size.js';

const available = process.platform === 'linux';
if (!available) process.stderr.write('skipped: only Linux says how much memory a process has\n');

describe.skipIf(!available)('a cluster of a hundred thousand Pods', () => {
  it('is listed within two minutes, in less than 400 MB', async () => {
    const size = await measureCluster(100_000);
    process.stdout.write(`${JSON.stringify(size)}\n`);
    expect(size).toMatchObject({ objects: 100_000, images: 7_003 });
    expect(size.looked).toBeLessThan(120);
    expect(size.peak * 1.048_576).toBeLessThan(400);
  });
});
