import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { pushImage } from '../../bench/push-image.js';
import { forward } from '../../fakes/http-forward.js';
import { buildImage } from '../../fakes/images.js';
import { QUICK_KINDS } from '../../matrix/registry-kinds.js';
import { craneProgram } from '../../tools/crane.js';
import { goToolsAvailable } from '../../tools/tool.js';

/**
 * Copies of two images with small blobs into each registry. A proxy in front of the target logs the requests, and crane
 * reads the copies back and checks every digest.
 */

const run = promisify(execFile);
const available = await goToolsAvailable('single POSTs at real registries');

let crane: string;
beforeAll(async () => {
  if (available) crane = await craneProgram();
}, 900_000);

interface Logged {
  readonly method: string;
  readonly url: string;
  status: number;
}

/** A proxy that logs each request. */
async function logging(backend: string): Promise<{ readonly host: string; readonly log: readonly Logged[] }> {
  const log: Logged[] = [];
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    const entry: Logged = { method: request.method ?? '', url: request.url ?? '', status: 0 };
    log.push(entry);
    const origin = `http://${request.headers.host ?? ''}`;
    forward(request, response, {
      backend: `http://${backend}`,
      origin,
      agent,
      onStatus: (status) => (entry.status = status),
    }).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, log };
}

/** Statuses of the single POSTs, and the number of uploads that a PUT ended. */
function uploads(log: readonly Logged[]): { readonly single: readonly number[]; readonly ended: number } {
  const single = log.filter(({ method, url }) => method === 'POST' && url.includes('?digest='));
  const ended = log.filter(({ method, url }) => method === 'PUT' && url.includes('/blobs/uploads/'));
  return { single: single.map(({ status }) => status), ended: ended.length };
}

describe.skipIf(!available)('small blobs', () => {
  it.each(QUICK_KINDS)('are copied to $name, in one request each if it accepts single POSTs', async (kind) => {
    const [source, target] = [await kind.start(), await kind.start()];
    onTestFinished(async () => {
      await Promise.all([source.stop(), target.stop()]);
    });
    const { host, log } = await logging(target.host);
    const factory = new RegistryFactory({
      endpoints: [source.host, host].map((endpoint) => ({ host: endpoint, insecure: true })),
      hosts: { allow: [], deny: [] },
      env: {},
    });
    onTestFinished(() => factory.close());
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-single-posts-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const anonymous = { resolve: () => Promise.resolve([]) };
    const images = [1, 2].map((seed) =>
      buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layersPerPlatform: 3, layerSize: 30_000, seed }),
    );
    for (const [index, image] of images.entries()) {
      const repository = `app-${index}`;
      await pushImage(source.host, repository, image, '1.0');
      await copyImage({
        source: { client: factory.client(source.host, anonymous), reference: { repository, tag: '1.0' } },
        target: { client: factory.client(host, anonymous), reference: { repository, published: '1.0' } },
      });
      await run(crane, [
        'pull',
        '--insecure',
        '--format',
        'oci',
        `${target.host}/${repository}:1.0`,
        join(folder, repository),
      ]);
    }
    const { single, ended } = uploads(log);
    const blobs = images.reduce((sum, { blobs: all }) => sum + all.length, 0);
    if (kind.name.startsWith('distribution')) {
      expect(single).toEqual([202]);
      expect(ended).toBe(blobs);
    } else {
      expect(new Set(single)).toEqual(new Set([201]));
      expect(single.length + ended).toBe(blobs);
      // Blobs of the first image are uploaded while the first single POST is checked.
      expect(single.length).toBeGreaterThan(images[1]?.blobs.length ?? 0);
    }
  });
});
