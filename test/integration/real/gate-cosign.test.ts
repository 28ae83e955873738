import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { BUNDLE } from '../../fakes/service.js';
import { cosignProgram } from '../../tools/signing.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

/** The built program verifies signatures and attestations of the real cosign. */

const run = promisify(execFile);
const available = await goToolsAvailable('gates that verify signatures of cosign');
const SCAN = 'https://example.com/scan/v1';
const image = buildImage();

let folder: string;
let source: FakeRegistry;
let target: FakeRegistry;

async function cosign(...args: readonly string[]): Promise<void> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, COSIGN_PASSWORD: '' };
  await run(await cosignProgram(), [...args], { cwd: folder, env });
}

beforeAll(async () => {
  if (!available) return;
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-cosign-'));
  [source, target] = [await FakeRegistry.start(), await FakeRegistry.start()];
  await cosign('generate-key-pair');
  await cosign('generate-key-pair', '--output-key-prefix', 'other');
  await writeFile(join(folder, 'predicate.json'), '{"ok": true}');
}, 1_800_000);
afterAll(async () => {
  if (!available) return;
  await Promise.all([source.close(), target.close()]);
  await rm(folder, { recursive: true, force: true });
});

async function mirror(repository: string, verify: object): Promise<{ state: string; detail: string }> {
  const gate = { verify };
  const config = {
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true }, gate },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
  };
  await writeFile(join(folder, 'image-swapper.yaml'), stringify(config));
  const args = [
    ...compileCacheFlags(),
    BUNDLE,
    'mirror',
    '--config',
    'image-swapper.yaml',
    '-o',
    'json',
    `${source.host}/${repository}:1`,
  ];
  const { stdout } = await run(process.execPath, args, { cwd: folder }).catch((error: { stdout: string }) => error);
  const { images } = JSON.parse(stdout) as { images: { state: string; detail: string }[] };
  const [row] = images;
  if (row === undefined) throw new Error(stdout);
  return row;
}

describe.skipIf(!available)('cosign', () => {
  it.each(['bundles', 'tags'] as const)(
    'signs and attests with a key, as %s: its own key is accepted, another is not',
    async (form) => {
      const repository = `app-${form}`;
      loadImage(source, repository, image, '1');
      const reference = `${source.host}/${repository}@${image.digest}`;
      const signing = ['--key', 'cosign.key', '--yes', '--allow-http-registry', ...offline(form)];
      const own = { keys: ['cosign.pub'] };
      expect(await mirror(repository, own)).toMatchObject({ state: 'held' });

      await cosign('sign', ...signing, reference);
      expect(await mirror(repository, { keys: ['other.pub'] })).toMatchObject({
        state: 'denied',
        detail: expect.stringContaining('no key of gate.verify.keys verifies it (other.pub)') as unknown,
      });
      expect(await mirror(repository, { ...own, attestations: [SCAN] })).toMatchObject({ state: 'held' });
      expect(await mirror(repository, own)).toMatchObject({ state: 'mirrored' });

      target.deleteManifest(`mirror/${source.host.replace(':', '_')}/${repository}`, '1');
      target.deleteManifest(`mirror/${source.host.replace(':', '_')}/${repository}`, image.digest);
      await cosign('attest', ...signing, '--predicate', 'predicate.json', '--type', SCAN, reference);
      expect(await mirror(repository, { ...own, attestations: [SCAN] })).toMatchObject({ state: 'mirrored' });
    },
  );

  it.each(
    (['rsa', 'p-384', 'ed25519'] as const).flatMap((kind) =>
      (['bundles', 'tags'] as const).map((form) => [kind, form] as const),
    ),
  )('signs with an imported key of type %s, as %s, and the gate accepts it or says why not', async (kind, form) => {
    const reason = expect.stringContaining('Ed25519ph if the key is Ed25519, which cannot be verified here') as unknown;
    const expected = kind === 'ed25519' ? { state: 'denied', detail: reason } : { state: 'mirrored' };
    const name = `${kind}-${form}`;
    await writeFile(join(folder, `${name}.pem`), privatePem(kind));
    await cosign('import-key-pair', '--key', `${name}.pem`, '--output-key-prefix', name);
    loadImage(source, name, image, '1');
    const signing = ['--key', `${name}.key`, '--yes', '--allow-http-registry', ...offline(form)];
    await cosign('sign', ...signing, `${source.host}/${name}@${image.digest}`);
    expect(await mirror(name, { keys: ['other.pub'] })).toMatchObject({ state: 'denied' });
    expect(await mirror(name, { keys: [`${name}.pub`] })).toMatchObject(expected);
  });
});

function offline(form: 'bundles' | 'tags'): readonly string[] {
  return ['--use-signing-config=false', '--tlog-upload=false', `--new-bundle-format=${form === 'bundles'}`];
}

function privatePem(kind: 'rsa' | 'p-384' | 'ed25519'): string {
  const pair = {
    rsa: () => generateKeyPairSync('rsa', { modulusLength: 2_048 }),
    'p-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ed25519: () => generateKeyPairSync('ed25519'),
  }[kind]();
  return pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
