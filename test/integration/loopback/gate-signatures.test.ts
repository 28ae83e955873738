import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { decideContainer } from '../../../extension-service/src/core/decide/decide.js';
import { mirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { RegistryCopier } from '../../../extension-service/src/mirror/registry-copier.js';
import { CopyFailedError } from '../../../extension-service/src/registry/copy-failure.js';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import type { BuiltManifest } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { FakeSigstore, keyBundle } from '../../fakes/sigstore.js';
import type { OwnKey } from '../../fakes/sigstore.js';
import { useCli } from './cli.js';
import { plainRegistry } from './world.js';

const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const SCAN = 'https://example.com/scan/v1';
const image = buildImage();
const other = buildImage({ seed: 9 });
const builder = { subject: 'https://ci.example.com/team/app', issuer: 'https://issuer.example.com' };

let folder: string;
let sigstore: FakeSigstore;
let root: string;
let source: FakeRegistry;
let target: FakeRegistry;
let clock: number;
const copiers: RegistryCopier[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-signatures-'));
  sigstore = await FakeSigstore.start();
  root = await file('root.json', sigstore.trustedRoot());
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  [source, target] = [await FakeRegistry.start(), await FakeRegistry.start()];
  loadImage(source, 'app', image, '1');
  clock = Date.parse('2026-03-01T12:00:00Z');
});
afterEach(async () => {
  for (const copier of copiers.splice(0)) copier.close();
  await Promise.all([source.close(), target.close()]);
});

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const curve = (namedCurve: string): OwnKey['pair'] => generateKeyPairSync('ec', { namedCurve });

const top = (): BuiltManifest => {
  const manifest = image.manifests.at(-1);
  if (manifest === undefined) throw new Error('no index');
  return manifest;
};

function attach(text: string): void {
  const { manifest, blobs } = buildReferrer(top(), BUNDLE, text);
  for (const blob of blobs) source.putBlob('app', blob);
  source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
}

/** Puts a layer under cosign 2's tag. */
function attachOld(text: Buffer, annotations: Record<string, string>): void {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const empty = Buffer.from('{}');
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: source.putBlob('app', empty), size: 2 },
    layers: [
      {
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        digest: source.putBlob('app', text),
        size: text.length,
        annotations,
      },
    ],
  };
  source.putManifest('app', `${image.digest.replace(':', '-')}.sig`, mediaType, Buffer.from(JSON.stringify(manifest)));
}

function world(verify: object) {
  const text = stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true }, gate: { verify } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
  });
  const { config } = parseConfig({ text, file: 'image-swapper.yaml', env: {} });
  const copier = new RegistryCopier(config, {
    env: {},
    readSecret: () => Promise.reject(new Error('no Secret')),
    cloud: () => undefined,
    report: () => undefined,
    pullSecrets: { forPod: () => Promise.resolve(undefined), configure: () => undefined },
    now: () => clock,
  });
  copiers.push(copier);
  const container = {
    ...{ list: 'containers' as const, index: 0, name: '', object: {} },
    image: `${source.host}/app:1`,
  };
  const decision = decideContainer(compileRules(config, namingTarget), {}, container);
  if (decision.action !== 'mirror') throw new Error(decision.detail);
  const job = mirrorJob(decision);
  const copy = () => copier.copy(job, new AbortController().signal, () => undefined);
  const refused = async () => {
    const error = await copy().catch((reason: unknown) => reason);
    if (!(error instanceof CopyFailedError)) throw new Error('the gate let it through');
    return error.failure;
  };
  return { copy, refused };
}

const inTarget = (): string | undefined => target.manifest(`mirror/${source.host.replace(':', '_')}/app`, '1')?.digest;
const keyless = (more: object = {}): object => ({ identities: [{ ...builder, ...more }], trustedRoot: root });

describe('a signature of an identity', () => {
  it('of the trusted root, subject and issuer allows the image, as a bundle', async () => {
    attach(await sigstore.bundle({ identity: builder, digest: image.digest }));
    await world(keyless()).copy();
    expect(inTarget()).toBe(image.digest);
  });

  it('allows the image in the form of cosign 2', async () => {
    const { text, annotations } = await sigstore.oldSignature({ identity: builder, digest: image.digest });
    attachOld(text, annotations);
    await world(keyless()).copy();
    expect(inTarget()).toBe(image.digest);
  });

  it.each<readonly [string, object, RegExp]>([
    [
      'another subject',
      { subject: 'https://ci.example.com/team' },
      /its signer is not in gate\.verify\.identities: subject https:\/\/ci\.example\.com\/team\/app, issuer/,
    ],
    [
      'another issuer',
      { issuer: 'https://other.example.com' },
      /its signer is not in .*, issuer https:\/\/issuer\.example\.com/,
    ],
    [
      'a pattern of a part of it',
      { subject: undefined, subjectPattern: 'https://ci\\.example\\.com/team' },
      /its signer is not in/,
    ],
  ])('is denied when the gate requires %s', async (_, more, reason) => {
    attach(await sigstore.bundle({ identity: builder, digest: image.digest }));
    const failure = await world(keyless(more)).refused();
    expect(failure).toMatchObject({ reason: 'gated', gate: { check: 'verify', verdict: 'denied' } });
    expect(failure.message).toMatch(reason);
    expect(inTarget()).toBeUndefined();
  });

  it('is allowed by a pattern for the complete subject', async () => {
    attach(await sigstore.bundle({ identity: builder, digest: image.digest }));
    await world(keyless({ subject: undefined, subjectPattern: 'https://ci\\.example\\.com/team/.*' })).copy();
    expect(inTarget()).toBe(image.digest);
  });

  it('of another CA with the same names is denied', async () => {
    const otherSigstore = await FakeSigstore.start();
    attach(await otherSigstore.bundle({ identity: builder, digest: image.digest }));
    expect((await world(keyless()).refused()).message).toMatch(
      /denied by gate\.verify: no signature is accepted: bundle sha256:\w+: .*certificate/i,
    );
  });

  it('of another image is denied', async () => {
    attach(await sigstore.bundle({ identity: builder, digest: other.digest }));
    expect((await world(keyless()).refused()).message).toContain(`it is about another image than ${image.digest}`);
  });

  it('of another image in the form of cosign 2 is denied', async () => {
    const { text, annotations } = await sigstore.oldSignature({ identity: builder, digest: other.digest });
    attachOld(text, annotations);
    expect((await world(keyless()).refused()).message).toContain(`it is about another image than ${image.digest}`);
  });

  it('without a log entry or timestamp is denied, because its certificate may have expired', async () => {
    attach(await sigstore.bundle({ identity: builder, digest: image.digest, logged: false }));
    expect((await world(keyless()).refused()).message).toContain('expected 1 timestamps, got 0');
  });

  it('over a changed statement is denied', async () => {
    const bundle = JSON.parse(await sigstore.bundle({ identity: builder, digest: other.digest })) as {
      dsseEnvelope: { payload: string };
    };
    const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString();
    const [wrong = '', right = ''] = [other.digest, image.digest].map((digest) => digest.slice('sha256:'.length));
    bundle.dsseEnvelope.payload = Buffer.from(payload.replace(wrong, right)).toString('base64');
    attach(JSON.stringify(bundle));
    expect(await world(keyless()).refused()).toMatchObject({ gate: { verdict: 'denied' } });
  });

  it.each([
    ['text', 'hello'],
    ['nothing', ''],
    ['an empty object', '{}'],
    ['JSON nested without end', '['.repeat(5_000)],
    ['a bundle without a signature', JSON.stringify({ mediaType: BUNDLE, verificationMaterial: {}, dsseEnvelope: {} })],
  ])('that is %s is denied as unreadable', async (_, text) => {
    attach(text);
    expect((await world(keyless()).refused()).message).toMatch(/bundle sha256:\w+: it cannot be read: /);
  });
});

describe('a signature of a key', () => {
  it('of the gate allows the image, in addition to signatures of others', async () => {
    const { bundle, publicKey } = keyBundle(image.digest);
    attach(keyBundle(image.digest).bundle);
    attach(bundle);
    await world({ keys: [await file('key.pub', publicKey)] }).copy();
    expect(inTarget()).toBe(image.digest);
  });

  it.each<readonly [string, OwnKey, 'accepted' | 'denied']>([
    ['P-384 and SHA-384, as of cosign 3', { pair: curve('P-384'), hash: 'sha384' }, 'accepted'],
    ['P-384 and SHA-256, as of older versions', { pair: curve('P-384'), hash: 'sha256' }, 'accepted'],
    ['P-521 and SHA-512', { pair: curve('P-521'), hash: 'sha512' }, 'accepted'],
    ['RSA and SHA-256', { pair: generateKeyPairSync('rsa', { modulusLength: 2_048 }), hash: 'sha256' }, 'accepted'],
    ['Ed25519', { pair: generateKeyPairSync('ed25519'), hash: null }, 'accepted'],
    ['P-256 and SHA-1', { pair: curve('P-256'), hash: 'sha1' }, 'denied'],
    ['P-384 and SHA-1', { pair: curve('P-384'), hash: 'sha1' }, 'denied'],
  ])('with %s gives a decision by its digest', async (name, own, expected) => {
    const { bundle, publicKey } = keyBundle(image.digest, undefined, own);
    attach(bundle);
    const { copy, refused } = world({ keys: [await file(`${name}.pub`, publicKey)] });
    if (expected === 'accepted') await copy();
    else expect((await refused()).gate).toMatchObject({ check: 'verify', verdict: 'denied' });
    expect(inTarget()).toBe(expected === 'accepted' ? image.digest : undefined);
  });

  it('of another key is denied for an hour and then checked again', async () => {
    attach(keyBundle(image.digest).bundle);
    const { bundle, publicKey } = keyBundle(image.digest);
    const key = await file('own.pub', publicKey);
    const { refused, copy } = world({ keys: [key] });
    expect((await refused()).message).toContain(`no key of gate.verify.keys verifies it (${key})`);
    attach(bundle);
    clock += 3_599_999;
    await refused();
    clock += 1;
    await copy();
    expect(inTarget()).toBe(image.digest);
  });

  it('does not help where only identities may sign', async () => {
    attach(keyBundle(image.digest).bundle);
    expect((await world(keyless()).refused()).message).toContain(
      'it is signed with a key, and gate.verify.keys is empty',
    );
  });
});

describe('an image without a signature', () => {
  it('is held, and allowed when it is signed later', async () => {
    const { bundle, publicKey } = keyBundle(image.digest);
    const { refused, copy } = world({ keys: [await file('late.pub', publicKey)] });
    expect(await refused()).toMatchObject({
      message: `${source.host}/app:1: held by gate.verify until 2026-03-01T12:00:30Z: its registry has no signature of it`,
      gate: { check: 'verify', verdict: 'held', until: clock + 30_000 },
    });
    attach(bundle);
    clock += 30_000;
    await copy();
    expect(inTarget()).toBe(image.digest);
  });

  it('is held while its registry does not answer for its signatures', async () => {
    const { publicKey } = keyBundle(image.digest);
    source.fault({ path: /\/referrers\//, action: { type: 'status', status: 503 } });
    const failure = await world({ keys: [await file('away.pub', publicKey)] }).refused();
    expect(failure).toMatchObject({ gate: { verdict: 'held' } });
    expect(failure.message).toContain('503');
  });
});

describe('attestations of a gate', () => {
  it('are required instead of a signature, of each predicate type', async () => {
    const signed = keyBundle(image.digest);
    const scanned = keyBundle(image.digest, SCAN);
    const keys = [await file('signed.pub', signed.publicKey), await file('scanned.pub', scanned.publicKey)];
    attach(signed.bundle);
    const { refused, copy } = world({ keys, attestations: [SCAN] });
    expect((await refused()).message).toContain(`its registry has no attestation of ${SCAN} of it`);
    attach(scanned.bundle);
    clock += 30_000;
    await copy();
    expect(inTarget()).toBe(image.digest);
  });
});

describe('the files of a gate', () => {
  const cli = useCli();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicPem = (type: 'ed25519' | 'x25519'): string => {
    // TypeScript has a separate overload for each type.
    const { publicKey } = type === 'ed25519' ? generateKeyPairSync(type) : generateKeyPairSync(type);
    return publicKey.export({ type: 'spki', format: 'pem' }).toString();
  };

  it.each<readonly [string, () => Promise<object>, RegExp]>([
    [
      'a key that is none',
      async () => ({ keys: [await file('text.pub', 'hello')] }),
      /target\.gate\.verify\.keys\[0\]: \S+text\.pub holds no public key: expected/,
    ],
    [
      'a private key',
      async () => ({
        keys: [await file('private.key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())],
      }),
      /target\.gate\.verify\.keys\[0\]: \S+private\.key holds a private key, which does not belong here: expected/,
    ],
    [
      'a broken key',
      async () => ({
        keys: [await file('broken.pub', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n')],
      }),
      /broken\.pub holds a public key that cannot be read: expected/,
    ],
    [
      'several keys in one file',
      async () => ({ keys: [await file('two.pub', [publicPem('ed25519'), publicPem('ed25519')].join(''))] }),
      /two\.pub holds 2 public keys, and each needs a file of its own: expected/,
    ],
    [
      'a key that cannot verify signatures',
      async () => ({ keys: [await file('exchange.pub', publicPem('x25519'))] }),
      /exchange\.pub holds a key of type x25519, which cannot verify signatures: expected/,
    ],
    [
      'a certificate in place of a key',
      async () => ({ keys: [await file('certificate.pub', cli.certificates.ca)] }),
      /certificate\.pub holds no public key: expected/,
    ],
    [
      'a trusted root that is missing',
      () => Promise.resolve({ identities: [builder], trustedRoot: '/nowhere/root.json' }),
      /target\.gate\.verify\.trustedRoot: \/nowhere\/root\.json cannot be used: .*expected the JSON of a Sigstore trusted root/,
    ],
    [
      'a trusted root that is none',
      async () => ({ identities: [builder], trustedRoot: await file('none.json', '{}') }),
      /target\.gate\.verify\.trustedRoot: \S+none\.json has no certificateAuthorities: expected/,
    ],
  ])('stop the start for %s, with file and line', async (_, verify, message) => {
    const gated = { ...plainRegistry(cli.target), gate: { verify: await verify() } };
    const ended = await cli.swapper(['mirror', '--config', await cli.config({ target: gated }), 'nginx']);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/image-swapper\.yaml:\d+:\d+: /);
    expect(ended.stderr).toMatch(message);
  });

  it('mirror of the built program verifies signatures', async () => {
    loadImage(cli.source, 'app', image, 'signed');
    loadImage(cli.source, 'app', other, 'unsigned');
    const { bundle, publicKey } = keyBundle(image.digest);
    const { manifest, blobs } = buildReferrer(top(), BUNDLE, bundle);
    for (const blob of blobs) cli.source.putBlob('app', blob);
    cli.source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
    const keys = [await file('built.pub', publicKey)];
    const gated = { ...plainRegistry(cli.target, { prefix: 'mirror' }), gate: { verify: { keys } } };
    const args = ['mirror', '--config', await cli.config({ target: gated }), '-o', 'json'];
    const ended = await cli.swapper([
      ...args,
      `${cli.source.host}/app:signed`,
      `${cli.source.host}/app:unsigned`,
      '--dry-run',
    ]);
    expect(JSON.parse(ended.stdout)).toMatchObject({ images: [{ state: 'would-mirror' }, { state: 'held' }] });
    expect(await cli.swapper([...args, `${cli.source.host}/app:signed`])).toMatchObject({ code: 0 });
    expect(cli.target.manifest(cli.repository(), 'signed')?.digest).toBe(image.digest);
  });
});
