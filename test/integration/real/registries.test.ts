import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import type { RealRegistryOptions } from '../../fakes/real-registry.js';
import { BUNDLE, RunningService } from '../../fakes/service.js';
import { debianTool } from '../../tools/debian.js';
import { craneProgram } from '../../tools/crane.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** Copies between real registries. crane and skopeo read them back, and the registry's access log shows the order. */

const run = promisify(execFile);
const available = await goToolsAvailable('copies between real registries');
const skopeo = available ? debianTool('skopeo') : undefined;

let crane: string;
let folder: string;
const registries: RealRegistry[] = [];
const services: RunningService[] = [];

beforeAll(async () => {
  if (!available) return;
  crane = await craneProgram();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-real-'));
}, 900_000);

afterAll(async () => {
  await Promise.all(
    services
      .filter(({ process }) => process.exitCode === null && process.signalCode === null)
      .map((service) => service.stop()),
  );
  await Promise.all(registries.map((registry) => registry.stop()));
  if (available) await rm(folder, { recursive: true, force: true });
});

async function registry(options: RealRegistryOptions = {}): Promise<RealRegistry> {
  const started = await RealRegistry.start(options);
  registries.push(started);
  return started;
}

async function service(config: Record<string, unknown>): Promise<RunningService> {
  const started = await RunningService.start({ config: stringify(config) });
  services.push(started);
  return started;
}

function plain(
  source: RealRegistry,
  target: RealRegistry,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    ...more,
  };
}

async function admit(swapper: RunningService, image: string): Promise<string | undefined> {
  const object = { kind: 'Pod', spec: { containers: [{ name: 'app', image }] } };
  const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'default', object } });
  const reply = await post(`${swapper.url}/v1/kyverno`, body, { ca: swapper.ca });
  return (reply.json() as { images: { containers?: { app?: string } } }).images.containers?.app;
}

async function mirrored(swapper: RunningService): Promise<void> {
  for (let i = 0; i < 1_200; i += 1) {
    const { mirrors } = (await get(`${swapper.operations}/v1/mirrors`)).json() as {
      mirrors: { state: string; failure?: unknown }[];
    };
    if (mirrors.length > 0 && mirrors.every(({ state }) => state === 'done')) return;
    const failed = mirrors.find(({ state }) => state === 'failed' || state === 'waiting');
    if (failed !== undefined) throw new Error(JSON.stringify(failed));
    await sleep(50);
  }
  throw new Error('the copy did not end');
}

const repositoryOf = (source: RealRegistry, name: string): string => `mirror/${source.host.replace(':', '_')}/${name}`;
const craneDigest = async (reference: string): Promise<string> =>
  (await run(crane, ['digest', '--insecure', reference])).stdout.trim();

const IMAGE: BuiltImage = buildImage({
  platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'],
  layersPerPlatform: 3,
  layerSize: 300_000,
  attestations: true,
});

describe.skipIf(!available)('between two registries of the distribution project', () => {
  it('crane and skopeo read the digests of the source, and crane reads every blob', async () => {
    const [source, target] = [await registry(), await registry()];
    await pushImage(source.host, 'app', IMAGE, '1.0');
    const swapper = await service(plain(source, target));
    expect(await admit(swapper, `${source.host}/app:1.0`)).toBeUndefined();
    await mirrored(swapper);
    const reference = `${target.host}/${repositoryOf(source, 'app')}`;
    expect(await admit(swapper, `${source.host}/app:1.0`)).toBe(`${reference}:1.0`);
    expect(await craneDigest(`${reference}:1.0`)).toBe(IMAGE.digest);
    for (const [platform, digest] of IMAGE.platforms) {
      expect(
        (await run(crane, ['digest', '--insecure', '--platform', platform, `${reference}:1.0`])).stdout.trim(),
      ).toBe(digest);
    }
    for (const { digest } of IMAGE.blobs) {
      const { stdout } = await run(crane, ['blob', '--insecure', `${reference}@${digest}`], {
        encoding: 'buffer',
        maxBuffer: 1e7,
      });
      expect(`sha256:${createHash('sha256').update(stdout).digest('hex')}`).toBe(digest);
    }
    if (skopeo !== undefined) {
      const { stdout } = await run(skopeo, ['inspect', '--raw', '--tls-verify=false', `docker://${reference}:1.0`]);
      expect(stdout).toBe(IMAGE.manifests.at(-1)?.bytes.toString());
    }
  });

  it('the target’s log shows blobs before their manifests, manifests before the index, and the tag last', async () => {
    const [source, target] = [await registry(), await registry()];
    await pushImage(source.host, 'app', IMAGE, '1.0');
    const swapper = await service(plain(source, target));
    await Promise.all(Array.from({ length: 20 }, () => admit(swapper, `${source.host}/app:1.0`)));
    await mirrored(swapper);
    const manifests = target.accessLog().filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/'));
    const names = manifests.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
    expect(names.at(-1)).toBe('1.0');
    expect(new Set(names.slice(0, -1))).toEqual(new Set(IMAGE.manifests.slice(0, -1).map(({ digest }) => digest)));
    expect(names).toHaveLength(IMAGE.manifests.length);
    // Distribution refuses a manifest whose blobs are missing. A 201 to each PUT therefore proves the order.
    expect(new Set(manifests.map(({ status }) => status))).toEqual(new Set([201]));
    // Twenty Pods cause only one GET of each blob.
    for (const { digest } of IMAGE.blobs) {
      expect(source.accessLog().filter(({ method, path }) => method === 'GET' && path.endsWith(digest))).toHaveLength(
        1,
      );
    }
  });

  it('checks the whole tree without reading a blob or sending when the image is already mirrored', async () => {
    const [source, target] = [await registry(), await registry()];
    await pushImage(source.host, 'app', IMAGE, '1.0');
    const config = join(folder, 'image-swapper.yaml');
    await writeFile(config, stringify(plain(source, target)));
    const mirror = async (): Promise<unknown> =>
      JSON.parse(
        (
          await run(process.execPath, [
            ...compileCacheFlags(),
            BUNDLE,
            'mirror',
            '--config',
            config,
            '-o',
            'json',
            `${source.host}/app:1.0`,
          ])
        ).stdout,
      ) as unknown;
    expect(await mirror()).toMatchObject({ images: [{ state: 'mirrored', digest: IMAGE.digest }] });
    const before = { source: source.accessLog().length, target: target.accessLog().length };
    expect(await mirror()).toMatchObject({ images: [{ state: 'up-to-date', digest: IMAGE.digest }] });
    const again = [...source.accessLog().slice(before.source), ...target.accessLog().slice(before.target)];
    expect(again.filter(({ method }) => method !== 'HEAD' && method !== 'GET')).toEqual([]);
    expect(again.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'))).toEqual([]);
    // The service requests only referrers from the source.
    const asked = source.accessLog().slice(before.source);
    const isReferrers = (path: string): boolean => path.includes('/referrers/') || path.includes('/manifests/sha256-');
    expect(asked.filter(({ method, path }) => method === 'GET' && path !== '/v2/' && !isReferrers(path))).toEqual([]);
  });

  it('a service that is killed during a copy leaves no tag, and the next one completes the image', async () => {
    const [source, target] = [await registry(), await registry()];
    const big = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 4, layerSize: 120_000_000, seed: 4 });
    await pushImage(source.host, 'big', big, '1.0');
    const config = plain(source, target);
    const first = await service(config);
    await admit(first, `${source.host}/big:1.0`);
    while (!target.accessLog().some(({ method }) => method === 'POST')) await sleep(5);
    await first.stop('SIGKILL');
    const reference = `${target.host}/${repositoryOf(source, 'big')}:1.0`;
    await expect(craneDigest(reference)).rejects.toThrow(/MANIFEST_UNKNOWN|NAME_UNKNOWN|404/);
    const second = await service(config);
    await admit(second, `${source.host}/big:1.0`);
    await mirrored(second);
    expect(await craneDigest(reference)).toBe(big.digest);
    await run(crane, ['validate', '--insecure', '--fast', '--remote', reference]);
  });

  it('the signature of an image is copied with it', async () => {
    const [source, target] = [await registry(), await registry()];
    await pushImage(source.host, 'app', IMAGE, '1.0');
    const signature = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, seed: 77 });
    const tag = `${IMAGE.digest.replace(':', '-')}.sig`;
    await pushImage(source.host, 'app', signature, tag);
    const swapper = await service(plain(source, target));
    await admit(swapper, `${source.host}/app:1.0`);
    await mirrored(swapper);
    expect(await craneDigest(`${target.host}/${repositoryOf(source, 'app')}:${tag}`)).toBe(signature.digest);
  });
});

describe.skipIf(!available)('with TLS by a private CA and basic authentication on both sides', () => {
  it('copies the image without a credential in the log', async () => {
    const tls = await makeCertificates({ hosts: ['127.0.0.1'] });
    const caFile = join(folder, 'ca.pem');
    await writeFile(caFile, tls.ca);
    const { htpasswd, ...credentials } = TEST_LOGIN;
    const [source, target] = [await registry({ tls, htpasswd }), await registry({ tls, htpasswd })];
    const env = { ...process.env, SSL_CERT_FILE: caFile, DOCKER_CONFIG: folder };
    const auth = Buffer.from('test-user:test-word').toString('base64');
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({ auths: { [source.host]: { auth }, [target.host]: { auth } } }),
    );
    // crane, not the service, copies the image into the private source.
    const open = await registry();
    await pushImage(open.host, 'app', IMAGE, '1.0');
    await run(crane, ['copy', '--insecure', `${open.host}/app:1.0`, `${source.host}/app:1.0`], { env });
    const swapper = await service({
      target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', caFile, credentials } },
      source: { registries: [{ type: 'oci', oci: { registry: source.host, caFile, credentials } }] },
    });
    await admit(swapper, `${source.host}/app:1.0`);
    await mirrored(swapper);
    const reference = `${target.host}/${repositoryOf(source, 'app')}:1.0`;
    expect((await run(crane, ['digest', reference], { env })).stdout.trim()).toBe(IMAGE.digest);
    expect(await admit(swapper, `${source.host}/app:1.0`)).toBe(reference);
    expect(JSON.stringify(swapper.log)).not.toContain('test-word');
    expect(JSON.stringify(swapper.log)).not.toContain(auth);
  });
});
