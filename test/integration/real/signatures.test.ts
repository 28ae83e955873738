import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { buildImage, buildReferrer } from '../../fakes/images.js';
import type { BuiltManifest } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { BUNDLE } from '../../fakes/service.js';
import { cosign, notation } from '../../tools/signing.js';
import type { Signer } from '../../tools/signing.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** Signatures of notation-go 1.3 and cosign 3.1 verify in the target, for the image, each platform and an SBOM. */

const run = promisify(execFile);
const available = await goToolsAvailable('signatures that verify at the target');

let folder: string;
/** Signers by the repository of the image that they sign. */
let signers: Readonly<Record<string, Signer>>;

beforeAll(async () => {
  if (!available) return;
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-signatures-'));
  signers = {
    notation: await notation(folder),
    'cosign-bundles': await cosign(folder, 'bundles'),
    'cosign-tags': await cosign(folder, 'tags'),
  };
}, 1_800_000);
afterAll(async () => {
  if (available) await rm(folder, { recursive: true, force: true });
});

/** Starts a registry with the referrers API, or the distribution project's registry, which does not have the API. */
async function registry(
  kind: 'with' | 'without',
): Promise<{ readonly host: string; readonly close: () => Promise<void> }> {
  if (kind === 'with') return FakeRegistry.start();
  const real = await RealRegistry.start();
  return { host: real.host, close: () => real.stop() };
}

async function pushManifest(host: string, repository: string, manifest: BuiltManifest): Promise<void> {
  const { digest, mediaType, bytes } = manifest;
  const url = `http://${host}/v2/${repository}/manifests/${digest}`;
  const headers = { 'content-type': mediaType };
  const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(bytes) });
  expect(answer.status).toBe(201);
}

async function pushBlob(host: string, repository: string, bytes: Buffer, digest: string): Promise<void> {
  const begun = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const url = new URL(begun.headers.get('location') ?? '', `http://${host}`);
  url.searchParams.set('digest', digest);
  expect((await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })).status).toBe(201);
}

/** Pushes an image with two platforms and an SBOM. @returns the digests that must be signed */
async function pushWithSbom(host: string, repository: string, hasApi: boolean): Promise<readonly string[]> {
  const image = buildImage();
  await pushImage(host, repository, image, '1.0');
  const top = image.manifests.at(-1);
  if (top === undefined) throw new Error('no index');
  const { blobs, manifest } = buildReferrer(top, 'application/spdx+json', '{"spdxVersion":"SPDX-2.3"}');
  for (const blob of blobs) {
    await pushBlob(host, repository, Buffer.concat([...blob.chunks(0, blob.size)]), blob.digest);
  }
  await pushManifest(host, repository, manifest);
  // Without the API, the client that attaches the SBOM creates the list, and the signing tools extend it.
  if (!hasApi) await listSbom(host, repository, top, manifest);
  return [...image.manifests.map(({ digest }) => digest), manifest.digest];
}

async function tagsOf(host: string, repository: string): Promise<readonly string[]> {
  const { tags } = (await (await fetch(`http://${host}/v2/${repository}/tags/list`)).json()) as { tags: string[] };
  return tags;
}

describe.skipIf(!available)('signatures', { timeout: 600_000 }, () => {
  it.each([
    ['with', 'with'],
    ['with', 'without'],
    ['without', 'with'],
    ['without', 'without'],
  ] as const)('verify at the target, from a registry %s the referrers API to a registry %s it', async (from, to) => {
    const [source, target] = [await registry(from), await registry(to)];
    try {
      const config = join(folder, 'image-swapper.yaml');
      await writeFile(
        config,
        stringify({
          target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
          source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
        }),
      );
      const signed = new Map<string, readonly string[]>();
      const sign = async ([name, signer]: readonly [string, Signer]): Promise<void> => {
        const digests = await pushWithSbom(source.host, name, from === 'with');
        for (const digest of digests) await signer.sign(`${source.host}/${name}@${digest}`);
        signed.set(name, digests);
      };
      await Promise.all(Object.entries(signers).map(sign));
      const images = [...signed.keys()].map((name) => `${source.host}/${name}:1.0`);
      await run(process.execPath, [...compileCacheFlags(), BUNDLE, 'mirror', '--config', config, ...images]);
      for (const [name, signer] of Object.entries(signers)) {
        const repository = `mirror/${source.host.replace(':', '_')}/${name}`;
        for (const digest of signed.get(name) ?? []) {
          await signer.verify(`${target.host}/${repository}@${digest}`).catch((error: unknown) => {
            throw new Error(`${name}: the signature of ${digest} does not verify at the target`, { cause: error });
          });
        }
        // Each format is copied unchanged. None replaces another.
        const hasTags = (await tagsOf(target.host, repository)).some((tag) => tag.endsWith('.sig'));
        expect([name, hasTags]).toEqual([name, name === 'cosign-tags']);
      }
    } finally {
      await Promise.all([source.close(), target.close()]);
    }
  });

  it('of another key, or of an image that is not signed, do not verify', async () => {
    const plain = await registry('with');
    const { host } = plain;
    try {
      const [digest = ''] = await pushWithSbom(host, 'app', true);
      for (const signer of Object.values(signers)) {
        await expect(signer.verify(`${host}/app@${digest}`)).rejects.toThrow();
      }
      const others = await cosign(folder, 'bundles');
      await others.sign(`${host}/app@${digest}`);
      await others.verify(`${host}/app@${digest}`);
      await expect(signers['cosign-bundles']?.verify(`${host}/app@${digest}`)).rejects.toThrow();
    } finally {
      await plain.close();
    }
  });
});

async function listSbom(
  host: string,
  repository: string,
  subject: BuiltManifest,
  { mediaType, digest, bytes }: BuiltManifest,
): Promise<void> {
  const entry = { mediaType, digest, size: bytes.length, artifactType: 'application/spdx+json' };
  const index = 'application/vnd.oci.image.index.v1+json';
  const list = JSON.stringify({ schemaVersion: 2, mediaType: index, manifests: [entry] });
  const url = `http://${host}/v2/${repository}/manifests/${subject.digest.replace(':', '-')}`;
  const answer = await fetch(url, { method: 'PUT', headers: { 'content-type': index }, body: list });
  expect(answer.status).toBe(201);
}
