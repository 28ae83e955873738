import { createHash } from 'node:crypto';
import { cp, mkdir, open, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { beforeEach, describe, expect, it } from 'vitest';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import { BUNDLE } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { image, useCli } from './cli.js';
import type { ProgramResult } from '../../fakes/program.js';
import { writes } from './copy-pair.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

const cli = useCli();
let folder: string;
let layouts = 0;

beforeEach(() => {
  folder = join(cli.folder, `layout-${(layouts += 1)}`);
});

interface Entry {
  readonly digest: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

async function index(): Promise<Entry[]> {
  return (JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as { manifests: Entry[] }).manifests;
}

const file = (digest: string): string => join(folder, 'blobs', digest.replace(':', '/'));

/** Returns every file below `blobs` after a check that its name matches its bytes. */
async function blobs(): Promise<string[]> {
  const names = await readdir(join(folder, 'blobs', 'sha256'));
  for (const name of names) {
    const bytes = await readFile(file(`sha256:${name}`));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(name);
  }
  return names.map((name) => `sha256:${name}`);
}

/** Checks that everything that a manifest refers to is in the layout. */
async function expectComplete(digest: string, whole: ReadonlySet<string>): Promise<void> {
  expect(whole).toContain(digest);
  const manifest = JSON.parse(await readFile(file(digest), 'utf8')) as {
    readonly manifests?: readonly Entry[];
    readonly config?: Entry;
    readonly layers?: readonly Entry[];
  };
  for (const child of manifest.manifests ?? []) await expectComplete(child.digest, whole);
  for (const blob of [manifest.config, ...(manifest.layers ?? [])])
    if (blob !== undefined) expect(whole).toContain(blob.digest);
}

async function mirror(
  end: '--to-layout' | '--from-layout',
  ...images: string[]
): Promise<ProgramResult & { rows: unknown[] }> {
  const args = ['mirror', '--config', await cli.config(), '-o', 'json', end, folder, ...images];
  const ended = await cli.swapper(args);
  const rows = ended.stdout === '' ? [] : (JSON.parse(ended.stdout) as { images: unknown[] }).images;
  return { ...ended, rows };
}

/** A layout that one run has written. Its names are those of a source that may no longer exist. */
let written: string | undefined;
async function writeLayout(): Promise<void> {
  if (written === undefined) {
    await mirror('--to-layout', app());
    written = `${folder}-kept`;
    await cp(folder, written, { recursive: true });
  } else await cp(written, folder, { recursive: true });
}

const app = (): string => `${cli.source.host}/app:1.0`;

describe('mirror --to-layout', () => {
  it('writes complete images under their references without a request to the target', async () => {
    const other = buildImage({ seed: 3 });
    loadImage(cli.source, 'team/other', other, 'V2');
    const names = [app(), `${cli.source.host}/team/other:V2`, `${cli.source.host}/app@${image.digest}`];
    const ended = await mirror('--to-layout', ...names);
    expect(ended.code, ended.stderr).toBe(0);
    expect(JSON.parse(await readFile(join(folder, 'oci-layout'), 'utf8'))).toEqual({ imageLayoutVersion: '1.0.0' });
    const entries = (await index()).map(({ digest, annotations }) => [
      annotations?.['org.opencontainers.image.ref.name'],
      digest,
    ]);
    expect(new Map(entries as [string, string][])).toEqual(
      new Map([
        [names[0], image.digest],
        [names[1], other.digest],
        [names[2], image.digest],
      ]),
    );
    const wanted = [image, other].flatMap((one) => [...one.manifests, ...one.blobs].map(({ digest }) => digest));
    expect((await blobs()).sort()).toEqual([...new Set(wanted)].sort());
    expect((await readdir(folder)).filter((name) => name !== '.unfinished').sort()).toEqual([
      'blobs',
      'index.json',
      'oci-layout',
    ]);
    expect(cli.target.accessLog).toEqual([]);
  });

  it('reads again only what is missing or damaged', async () => {
    await mirror('--to-layout', app());
    const before = cli.source.accessLog.length;
    expect((await mirror('--to-layout', app())).rows).toMatchObject([{ state: 'up-to-date' }]);
    expect(
      cli.source
        .requests()
        .slice(before)
        .filter((line) => line.includes('/blobs/')),
    ).toEqual([]);
    const [first, second] = image.blobs;
    await truncate(file(first?.digest ?? ''), 10);
    await rm(file(second?.digest ?? ''));
    expect(await mirror('--to-layout', app())).toMatchObject({ code: 0, rows: [{ state: 'mirrored' }] });
    const read = cli.source
      .requests()
      .slice(before)
      .filter((line) => line.includes('/blobs/'));
    expect(read.sort()).toEqual([first, second].map((blob) => `GET /v2/app/blobs/${blob?.digest ?? ''}`).sort());
    expect(await blobs()).toHaveLength(image.blobs.length + image.manifests.length);
  });

  it('publishes no image with an interrupted layer, keeps complete blobs, and continues in the next run', async () => {
    const broken = image.blobs.at(-1)?.digest ?? '';
    cli.source.fault({ method: 'GET', path: broken, action: { type: 'status', status: 404 } });
    const failed = await mirror('--to-layout', app());
    expect(failed).toMatchObject({ code: 1, rows: [{ state: 'failed' }] });
    expect(await index()).toEqual([]);
    const kept = await blobs();
    expect(kept).not.toContain(broken);
    cli.source.clearFaults();
    const before = cli.source.accessLog.length;
    expect(await mirror('--to-layout', app())).toMatchObject({ code: 0, rows: [{ state: 'mirrored' }] });
    const read = cli.source
      .requests()
      .slice(before)
      .filter((line) => line.includes('/blobs/'));
    expect(read.some((line) => kept.some((digest) => line.includes(digest)))).toBe(false);
    expect(read).toContain(`GET /v2/app/blobs/${broken}`);
  });

  it('keeps other names and unknown fields of a layout, and removes what an interrupted run left', async () => {
    await mirror('--to-layout', app());
    const path = join(folder, 'index.json');
    const json = JSON.parse(await readFile(path, 'utf8')) as { manifests: Entry[] };
    await writeFile(path, JSON.stringify({ ...json, annotations: { by: 'hand' } }));
    await mkdir(join(folder, '.unfinished'), { recursive: true });
    await writeFile(join(folder, '.unfinished', 'left'), 'half');
    loadImage(cli.source, 'two', buildImage({ seed: 9 }), '2');
    expect((await mirror('--to-layout', `${cli.source.host}/two:2`)).code).toBe(0);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ annotations: { by: 'hand' } });
    expect(await index()).toHaveLength(2);
    expect(await readdir(join(folder, '.unfinished')).catch(() => [])).toEqual([]);
  });

  it('refuses a folder with other content, and does not change it', async () => {
    await mkdir(folder);
    await writeFile(join(folder, 'thesis.txt'), 'mine');
    const ended = await mirror('--to-layout', app());
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('this is not an OCI image layout: oci-layout');
    expect(await readdir(folder)).toEqual(['thesis.txt']);
  });

  it('reports a full disk, publishes nothing, and continues when there is space', async () => {
    loadImage(cli.source, 'large', buildImage({ layerSize: 3_000_000, seed: 11 }), '1');
    const config = await cli.config();
    const args = ['mirror', '--config', config, '--to-layout', folder, `${cli.source.host}/large:1`];
    // Files are limited to 1 MiB, without the signal that would end the process. A write then fails as on a full disk.
    const script = `trap '' XFSZ; ulimit -f 1024; exec '${process.execPath}' '${BUNDLE}' "$@"`;
    const child = spawn('bash', ['-c', script, 'bash', ...args], {
      cwd: cli.folder,
      env: { PATH: process.env['PATH'] ?? '', HOME: cli.folder },
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.resume();
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1);
    expect(output).toContain('the disk is full, or a limit is reached (EFBIG)');
    expect(await index()).toEqual([]);
    expect(await readdir(join(folder, '.unfinished'))).toEqual([]);
    expect((await mirror('--to-layout', `${cli.source.host}/large:1`)).code).toBe(0);
  });

  it('leaves a complete layout whenever it is killed, and the next run continues from there', async () => {
    const several = Array.from({ length: 4 }, (_, seed) => ({
      name: `killed-${seed}`,
      built: buildImage({ seed: 100 + seed, layersPerPlatform: 3, layerSize: 60_000 }),
    }));
    for (const { name, built } of several) loadImage(cli.source, name, built, '1');
    const images = several.map(({ name }) => `${cli.source.host}/${name}:1`);
    const args = ['mirror', '--config', await cli.config(), '--to-layout', folder, ...images];
    const reads = (): string[] =>
      cli.source.requests().filter((line) => line.startsWith('GET') && line.includes('/blobs/'));
    /** Returns the bytes of every file in the layout. */
    const sizes = async (): Promise<number[]> => {
      const files = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
      const sized = files.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)));
      return (await Promise.allSettled(sized)).flatMap((one) => (one.status === 'fulfilled' ? [one.value.size] : []));
    };
    const isPartial = (size: number): boolean => size > 10_000 && size < 60_000;
    for (const more of [0, 4, 8]) {
      // Layers are larger than this, and configurations smaller: after some reads, one layer stays partial.
      await rm(join(folder, '.unfinished'), { recursive: true, force: true });
      cli.source.clearFaults();
      cli.source.fault({ method: 'GET', path: '/blobs/', after: more, action: { type: 'hang', after: 30_000 } });
      const child = spawn(process.execPath, [...compileCacheFlags(), BUNDLE, ...args], {
        cwd: cli.folder,
        env: { PATH: process.env['PATH'] ?? '', HOME: cli.folder },
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
      await until('a part of a layer is written', async () => (await sizes()).some(isPartial));
      child.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
      // Names in blobs are those of whole files, and index.json names nothing that is not there.
      const whole = new Set(await blobs());
      for (const { digest } of await index()) await expectComplete(digest, whole);
    }
    const kept = await blobs();
    expect(kept.length).toBeGreaterThan(0);
    cli.source.clearFaults();
    // Programs that read the index while it is replaced see one version or the other.
    const reader = await open(join(folder, 'index.json'));
    const beforeText = await readFile(join(folder, 'index.json'), 'utf8');
    const before = reads().length;
    expect((await mirror('--to-layout', ...images)).code).toBe(0);
    const again = reads().slice(before);
    expect(again.length).toBeGreaterThan(0);
    expect(again.filter((line) => kept.some((digest) => line.includes(digest)))).toEqual([]);
    const whole = new Set(await blobs());
    const names = (await index()).map((entry) => entry.annotations?.['org.opencontainers.image.ref.name']);
    expect(names.sort()).toEqual([...images].sort());
    for (const { digest } of await index()) await expectComplete(digest, whole);
    expect(await readdir(join(folder, '.unfinished')).catch(() => [])).toEqual([]);
    expect(await readFile(join(folder, 'index.json'), 'utf8')).not.toBe(beforeText);
    expect(await reader.readFile('utf8')).toBe(beforeText);
    await reader.close();
  });

  it('plans without writing', async () => {
    const args = ['mirror', '--config', await cli.config(), '-o', 'json', '--dry-run', '--to-layout', folder, app()];
    const ended = await cli.swapper(args);
    expect(JSON.parse(ended.stdout)).toMatchObject({ images: [{ state: 'would-mirror' }] });
    expect(await index()).toEqual([]);
  });
});

describe('mirror --from-layout', () => {
  it('copies everything to the target without a source, byte for byte, including signatures', async () => {
    const top = image.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const { manifest, blobs: payload } = buildReferrer(top, 'application/vnd.dev.sigstore.bundle.v0.3+json', 'bundle');
    for (const blob of payload) cli.source.putBlob('app', blob);
    cli.source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
    const old = `sha256-${image.digest.slice('sha256:'.length)}.sig`;
    const signature = buildImage({ platforms: ['linux/amd64'], seed: 5 });
    loadImage(cli.source, 'app', signature);
    const [single] = signature.manifests;
    if (single === undefined) throw new Error('no manifest');
    cli.source.putManifest('app', old, single.mediaType, single.bytes);

    expect((await mirror('--to-layout', app())).code).toBe(0);
    expect((await index()).find(({ digest }) => digest === manifest.digest)).toMatchObject({
      artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    });
    const before = cli.source.accessLog.length;
    const ended = await mirror('--from-layout');
    expect(ended, ended.stderr).toMatchObject({ code: 0, rows: [{ image: app(), state: 'mirrored' }] });
    expect(cli.source.accessLog.length).toBe(before);
    for (const one of [...image.manifests, manifest])
      expect(cli.target.manifest(cli.repository(), one.digest)?.bytes).toEqual(one.bytes);
    expect(cli.target.manifest(cli.repository(), '1.0')?.digest).toBe(image.digest);
    expect(cli.target.manifest(cli.repository(), old)?.digest).toBe(single.digest);
    expect((await mirror('--from-layout')).rows).toMatchObject([{ state: 'up-to-date' }]);
  });

  it('copies the requested images and names those that the layout does not have', async () => {
    loadImage(cli.source, 'two', buildImage({ seed: 9 }), '2');
    const two = `${cli.source.host}/two:2`;
    await mirror('--to-layout', app(), two);
    const ended = await mirror('--from-layout', two, 'nginx:1');
    expect(ended).toMatchObject({
      code: 1,
      rows: [
        { image: two, state: 'mirrored' },
        { image: 'docker.io/library/nginx:1', state: 'failed' },
      ],
    });
    expect(cli.target.repositories()).toEqual([cli.repository().replace('/app', '/two')]);
  });

  it('reads layouts of other tools, keeps manifests without a name and refuses short names', async () => {
    await writeLayout();
    const path = join(folder, 'index.json');
    const json = JSON.parse(await readFile(path, 'utf8')) as { manifests: Entry[] };
    const [entry] = json.manifests;
    const named = { ...entry, annotations: { 'org.opencontainers.image.ref.name': '1.27' } };
    const unnamed = Object.fromEntries(Object.entries({ ...entry }).filter(([key]) => key !== 'annotations'));
    await writeFile(path, JSON.stringify({ schemaVersion: 2, manifests: [named, unnamed] }));
    const ended = await mirror('--from-layout');
    expect(ended).toMatchObject({
      code: 1,
      rows: [
        { image: '1.27', state: 'failed' },
        { image: image.digest, state: 'kept' },
      ],
    });
    expect(ended.stdout).toContain('is not a whole reference');
    expect(writes(cli.target)).toEqual([]);
  });

  const layer = (): string => image.blobs.at(-1)?.digest ?? '';
  const child = (): string => image.platforms.get('linux/arm64') ?? '';
  it.each<[string, () => Promise<void>, RegExp]>([
    [
      'a layer lies about its digest',
      async () => {
        const bytes = await readFile(file(layer()));
        bytes[0] = (bytes[0] ?? 0) ^ 1;
        await writeFile(file(layer()), bytes);
      },
      /the source sent sha256:[0-9a-f]{64} for sha256:/,
    ],
    ['a layer is too short', () => truncate(file(layer()), 5), /has 5 bytes, and its manifest says \d+/],
    ['a layer is missing', () => rm(file(layer())), /blobs\/sha256\/[0-9a-f]{64} is missing/],
    ['a manifest is missing', () => rm(file(child())), /linux\/arm64 \(sha256:[0-9a-f]{64}\) no longer exists/],
    ['a manifest lies', () => writeFile(file(child()), '{}'), /has (the digest|2 bytes)/],
    ['the top is missing', () => rm(file(image.digest)), /blobs\/sha256\/[0-9a-f]{64} is missing/],
    [
      'a layer is a link',
      async () => {
        const elsewhere = join(cli.folder, 'elsewhere');
        await writeFile(elsewhere, await readFile(file(layer())));
        await rm(file(layer()));
        await symlink(elsewhere, file(layer()));
      },
      /is missing/,
    ],
  ])('publishes nothing when %s', async (_title, damage, message) => {
    await writeLayout();
    await damage();
    const ended = await mirror('--from-layout');
    expect(ended).toMatchObject({
      code: 1,
      rows: [{ state: 'failed', detail: expect.stringMatching(message) as string }],
    });
    expect(cli.target.repositories().flatMap((name) => cli.target.tags(name))).toEqual([]);
  });

  it.each<[string, (json: { manifests: Entry[] }) => unknown, string]>([
    [
      'a digest that leads out of the folder',
      ({ manifests: [entry] }) => ({ manifests: [{ ...entry, digest: 'sha256:../../../etc/passwd' }] }),
      'is not a digest',
    ],
    ['no list', () => ({}), 'index.json has no list "manifests"'],
    ['no object', () => [], 'index.json is not a JSON object'],
    ['no image', () => ({ manifests: [] }), 'index.json names no image'],
  ])('refuses an index with %s', async (_title, change, message) => {
    await writeLayout();
    const path = join(folder, 'index.json');
    await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')) as { manifests: Entry[] })));
    const ended = await mirror('--from-layout');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(message);
    expect(cli.target.accessLog).toEqual([]);
  });

  it('refuses a folder that is not a layout, and both options at once', async () => {
    expect((await mirror('--from-layout')).stderr).toContain(
      `layout ${folder}: this is not an OCI image layout: oci-layout`,
    );
    const both = await cli.swapper([
      'mirror',
      '--config',
      await cli.config(),
      '--from-layout',
      folder,
      '--to-layout',
      folder,
    ]);
    expect(both).toMatchObject({ code: 2, stderr: 'give --to-layout or --from-layout, not both\n' });
  });
});
