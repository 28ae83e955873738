import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { copyImage } from '../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../extension-service/src/registry/factory.js';
import { pushImage } from '../bench/push-image.js';
import { forward } from '../fakes/http-forward.js';
import { buildImage } from '../fakes/images.js';
import { craneProgram } from '../tools/crane.js';
import { OWNER, type RegistryKind } from './registry-process.js';

const run = promisify(execFile);

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

export interface SmallBlobUploads {
  /** Statuses of the single POSTs, without those that asked for a login. */
  readonly single: readonly number[];
  /** Number of uploads that a PUT ended. */
  readonly ended: number;
  /** Number of blobs of each of the two images. */
  readonly blobsPerImage: number;
}

/**
 * Copies two images with small blobs from one registry of a kind into another. A proxy in front of the target logs the
 * requests, and crane reads the copies back and checks every digest.
 */
export async function copySmallBlobs(kind: RegistryKind): Promise<SmallBlobUploads> {
  const crane = await craneProgram();
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
  const { login } = target;
  const auth = login && Buffer.from(`${login.username}:${login.password}`).toString('base64');
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({ auths: auth === undefined ? {} : { [target.host]: { auth } } }),
  );
  const keychain = { resolve: () => Promise.resolve(login === undefined ? [] : [login]) };
  const images = [1, 2].map((seed) =>
    buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layersPerPlatform: 3, layerSize: 30_000, seed }),
  );
  for (const [index, image] of images.entries()) {
    const repository = `${OWNER}/app-${index}`;
    await pushImage(source.host, repository, image, '1.0', login);
    await copyImage({
      source: { client: factory.client(source.host, keychain), reference: { repository, tag: '1.0' } },
      target: { client: factory.client(host, keychain), reference: { repository, published: '1.0' } },
    });
    const pulled = join(folder, `app-${index}`);
    const pull = ['pull', '--insecure', '--format', 'oci', `${target.host}/${repository}:1.0`, pulled];
    await run(crane, pull, { env: { ...process.env, DOCKER_CONFIG: folder } });
  }
  const single = log.filter(
    ({ method, url, status }) => method === 'POST' && url.includes('?digest=') && status !== 401,
  );
  const ended = log.filter(
    ({ method, url, status }) => method === 'PUT' && url.includes('/blobs/uploads/') && status !== 401,
  );
  return {
    single: single.map(({ status }) => status),
    ended: ended.length,
    blobsPerImage: images[0]?.blobs.length ?? 0,
  };
}
