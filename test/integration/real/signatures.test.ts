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
import { notation } from '../../tools/signing.js';
import type { Signer } from '../../tools/signing.js';
import { goToolsAvailable } from '../../tools/tool.js';

/** Signatures of notation-go 1.3 verify at the target: of the image, of each platform, and on an SBOM. */

const run = promisify(execFile);
const available = await goToolsAvailable('signatures that verify at the target');

let folder: string;
let signers: Readonly<Record<string, Signer>>;

beforeAll(async () => {
  if (!available) return;
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-signatures-'));
  signers = {
    'signatures of notation': await notation(folder),
  };
}, 1_800_000);
afterAll(async () => {
  if (available) await rm(folder, { recursive: true, force: true });
});

/** A registry with the referrers API, or the distribution project's, which has none. */
async function registry(
  kind: 'with' | 'without',
): Promise<{ readonly host: string; readonly close: () => Promise<void> }> {
  if (kind === 'with') return FakeRegistry.start();
  const real = await RealRegistry.start();
  return { host: real.host, close: () => real.stop() };
}

async function pushManifest(host: string, { digest, mediaType, bytes }: BuiltManifest): Promise<void> {
  const url = `http://${host}/v2/app/manifests/${digest}`;
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: new Uint8Array(bytes),
  });
  expect(answer.status).toBe(201);
}

async function pushBlob(host: string, bytes: Buffer, digest: string): Promise<void> {
  const begun = await fetch(`http://${host}/v2/app/blobs/uploads/`, { method: 'POST' });
  const url = new URL(begun.headers.get('location') ?? '', `http://${host}`);
  url.searchParams.set('digest', digest);
  expect((await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })).status).toBe(201);
}

describe.skipIf(!available)('signatures', { timeout: 600_000 }, () => {
  it.each([
    ['with', 'with'],
    ['with', 'without'],
    ['without', 'with'],
    ['without', 'without'],
  ] as const)('verify at the target, from a registry %s the referrers API to one %s it', async (from, to) => {
    const [source, target] = [await registry(from), await registry(to)];
    try {
      const image = buildImage();
      await pushImage(source.host, 'app', image, '1.0');
      const top = image.manifests.at(-1);
      if (top === undefined) throw new Error('no index');
      const sbom = buildReferrer(top, 'application/spdx+json', '{"spdxVersion":"SPDX-2.3"}');
      for (const blob of sbom.blobs) {
        await pushBlob(source.host, Buffer.concat([...blob.chunks(0, blob.size)]), blob.digest);
      }
      await pushManifest(source.host, sbom.manifest);
      // Without the API the client that attaches it keeps the list, and notation extends it.
      if (from === 'without') await listSbom(source.host, top, sbom.manifest);
      const digests = [...image.manifests.map(({ digest }) => digest), sbom.manifest.digest];
      for (const signer of Object.values(signers)) {
        for (const digest of digests) await signer.sign(`${source.host}/app@${digest}`);
      }
      const config = join(folder, 'image-swapper.yaml');
      await writeFile(
        config,
        stringify({
          target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
          source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
        }),
      );
      await run(process.execPath, [BUNDLE, 'mirror', '--config', config, `${source.host}/app:1.0`]);
      const repository = `${target.host}/mirror/${source.host.replace(':', '_')}/app`;
      for (const [name, signer] of Object.entries(signers)) {
        for (const digest of digests) {
          await signer.verify(`${repository}@${digest}`).catch((error: unknown) => {
            throw new Error(`${name} of ${digest} do not verify at the target`, { cause: error });
          });
        }
      }
    } finally {
      await Promise.all([source.close(), target.close()]);
    }
  });
});

async function listSbom(
  host: string,
  subject: BuiltManifest,
  { mediaType, digest, bytes }: BuiltManifest,
): Promise<void> {
  const entry = { mediaType, digest, size: bytes.length, artifactType: 'application/spdx+json' };
  const index = 'application/vnd.oci.image.index.v1+json';
  const list = JSON.stringify({ schemaVersion: 2, mediaType: index, manifests: [entry] });
  const url = `http://${host}/v2/app/manifests/${subject.digest.replace(':', '-')}`;
  const answer = await fetch(url, { method: 'PUT', headers: { 'content-type': index }, body: list });
  expect(answer.status).toBe(201);
}
