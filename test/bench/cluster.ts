import { pathToFileURL } from 'node:url';
import { measureCluster } from './cluster-size.js';
import { printTable } from './table.js';

/** Measures memory and time of the first pass over a cluster, by cluster size. */
export async function run(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const pods of [1_000, 10_000, 100_000]) {
    const { objects, images, listed, looked, before, peak, after, cpu } = await measureCluster(pods);
    rows.push([`${objects} Pods, ${images} images`, listed, looked, before, peak, after, cpu]);
  }
  printTable(['', 'listed s', 'looked for s', 'RSS before', 'peak MiB', 'after MiB', 'CPU s'], rows);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run();
