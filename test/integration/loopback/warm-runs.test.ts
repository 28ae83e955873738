import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { ProgramResult } from '../../fakes/program.js';
import { useCli } from './cli.js';
import { writes } from './copy-pair.js';

/** Requests of `mirror --file` for images that the target already has. The tests count them in the registries' logs. */

const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const cli = useCli();

const images = { web: buildImage({ seed: 1 }), api: buildImage({ seed: 2, attestations: true }) };
/** Three tags of two images. */
const TAGS = { 'web:1': images.web, 'web:stable': images.web, 'api:1': images.api };

function load(): void {
  for (const [name, image] of Object.entries(TAGS)) {
    const [repository = '', tag] = name.split(':');
    loadImage(cli.source, repository, image, tag);
  }
}

function attach(repository: string, image: BuiltImage, index = image.manifests.length - 1, payload = BUNDLE): string {
  const subject = image.manifests[index];
  if (subject === undefined) throw new Error('no such manifest');
  const { manifest, blobs } = buildReferrer(subject, BUNDLE, payload);
  for (const blob of blobs) cli.source.putBlob(repository, blob);
  return cli.source.putManifest(repository, manifest.digest, manifest.mediaType, manifest.bytes);
}

interface Run extends ProgramResult {
  /** Returns the requests as `METHOD name/path`. */
  readonly source: readonly string[];
  readonly target: readonly string[];
}

/** Runs `mirror --file` once with the list. */
async function run(config: string, ...more: string[]): Promise<Run> {
  const list = Object.keys(TAGS).map((name) => `${cli.source.host}/${name}\n`);
  const before = [cli.source.accessLog.length, cli.target.accessLog.length] as const;
  const env = { XDG_CACHE_HOME: cache() };
  const ended = await cli.swapper(['mirror', '--config', config, '--file', '-', ...more], list.join(''), env);
  const requests = (registry: FakeRegistry, from: number): string[] =>
    registry
      .requests()
      .slice(from)
      .map((line) => line.replace(/\/v2\/(mirror\/[^/]+\/)?/, ''))
      .sort();
  return { ...ended, source: requests(cli.source, before[0]), target: requests(cli.target, before[1]) };
}

/** Each pair of registries has its own cache, because another test may get the same port. */
function cache(): string {
  return join(cli.folder, `cache-${cli.source.host.split(':')[1] ?? ''}-${cli.target.host.split(':')[1] ?? ''}`);
}

async function age(milliseconds: number): Promise<void> {
  const file = join(cache(), 'image-swapper', 'complete-images.json');
  const known = JSON.parse(await readFile(file, 'utf8')) as { format: number; images: { at: number }[] };
  for (const one of known.images) one.at -= milliseconds;
  await writeFile(file, JSON.stringify(known));
}

const NAMES = Object.keys(TAGS).sort();
const HEADS = NAMES.map((name) => `HEAD ${name.replace(':', '/manifests/')}`);
const LISTS = [`GET api/referrers/${images.api.digest}`, `GET web/referrers/${images.web.digest}`];
const ONE_REQUEST_EACH = { code: 0, source: [...LISTS, ...HEADS].sort(), target: HEADS };

describe('the next run of a list', () => {
  it.each([
    ['one image at a time', 1],
    ['several images at once', 8],
  ])('sends one request per tag to each registry and reads one list of referrers per image (%s)', async (_, copies) => {
    load();
    attach('web', images.web);
    const config = await cli.config({ mirror: { concurrency: copies } });
    expect(await run(config)).toMatchObject({ code: 0 });
    const warm = await run(config);
    expect(warm).toMatchObject(ONE_REQUEST_EACH);
    expect(warm.stdout.match(/^up-to-date/gm)).toHaveLength(3);
    expect(warm.stderr).not.toContain('warn');
    expect(await run(config)).toMatchObject(ONE_REQUEST_EACH);
  });

  it("checks the target's list when the source lists more referrers, and copies them", async () => {
    load();
    const config = await cli.config();
    await run(config);
    const signature = attach('web', images.web);
    const { source, target } = await run(config);
    // A signature may itself be signed.
    const lists = source.filter((line) => line.includes('/referrers/') && !line.endsWith(signature));
    expect(lists).toEqual(LISTS);
    expect(target.filter((line) => line.includes('/referrers/'))).toEqual([LISTS[1]]);
    expect(cli.target.manifest(`${cli.repository().replace('/app', '/web')}`, signature)).toBeDefined();
    expect(await run(config)).toMatchObject(ONE_REQUEST_EACH);
  });

  it('copies the tag that moved, and checks nothing else', async () => {
    load();
    const config = await cli.config();
    await run(config);
    const moved = buildImage({ seed: 3 });
    loadImage(cli.source, 'web', moved, '1');
    const { source, target } = await run(config);
    expect(cli.target.manifest(cli.repository().replace('/app', '/web'), '1')?.digest).toBe(moved.digest);
    const others = (lines: readonly string[]): string[] => lines.filter((line) => / api\/|stable|referrers/.test(line));
    const ofMoved = new Set(moved.manifests.map(({ digest }) => `GET web/referrers/${digest}`));
    expect(others(source).filter((line) => !ofMoved.has(line))).toEqual([...LISTS, HEADS[0], HEADS[2]]);
    expect(others(target)).toEqual([HEADS[0], HEADS[2]]);
  });

  it('does not read an index again when mirror.platforms excludes platforms', async () => {
    load();
    const config = await cli.config({ mirror: { platforms: ['linux/amd64'] } });
    expect(await run(config)).toMatchObject({ code: 0 });
    expect(await run(config)).toMatchObject({ code: 0, source: HEADS, target: HEADS });
  });

  it('requests fallback tags when the source has no referrers API', async () => {
    await cli.source.close();
    cli.source = await FakeRegistry.start({ referrers: false });
    load();
    const config = await cli.config();
    await run(config);
    const { source, target } = await run(config);
    expect(target).toEqual(HEADS);
    const lists = source.filter((line) => !HEADS.includes(line));
    expect(lists.filter((line) => !line.includes('/referrers/'))).toEqual(
      (['api', 'web'] as const).map((name) => `GET ${name}/manifests/${images[name].digest.replace(':', '-')}`),
    );
    // The first two images run in parallel, and both discover that the route does not exist.
    expect(lists.length).toBeLessThanOrEqual(4);
  });
});

describe('every part of a listed image is checked', () => {
  const child = images.web.manifests[0]?.digest ?? '';
  const repository = (): string => cli.repository().replace('/app', '/web');
  const cases: readonly (readonly [string, (config: string) => Promise<unknown>])[] = [
    ['when mirror.audit.interval has passed', async (config) => (await age(25 * 3_600_000), await run(config))],
    ['with --audit', (config) => run(config, '--audit')],
    ['with --referrers', (config) => run(config, '--referrers')],
    ['when it is named on the command line', (config) => run(config, `${cli.source.host}/web:1`)],
    [
      'when imageCopyPolicy is force',
      async () => run(await cli.config({ imageCopyPolicy: 'force' }, 'image-swapper-force.yaml')),
    ],
    [
      'when what earlier runs found cannot be read',
      async (config) => {
        await writeFile(join(cache(), 'image-swapper', 'complete-images.json'), '{');
        expect((await run(config)).stderr).toContain('cannot be used');
      },
    ],
  ];
  it.each(cases)('%s, and missing parts are restored', async (_, again) => {
    load();
    const config = await cli.config();
    await run(config);
    expect(cli.target.deleteManifest(repository(), child)).toBe(true);
    // Within the interval, one request per tag does not detect the change.
    expect(await run(config)).toMatchObject(ONE_REQUEST_EACH);
    expect(cli.target.manifest(repository(), child)).toBeUndefined();
    await again(config);
    expect(cli.target.manifest(repository(), child)).toBeDefined();
  });

  it('again by the next run, when it could not be repaired', async () => {
    load();
    const config = await cli.config();
    await run(config);
    cli.target.deleteManifest(repository(), child);
    cli.source.fault({ path: child, action: { type: 'status', status: 403 } });
    expect(await run(config, '--audit')).toMatchObject({ code: 1 });
    cli.source.clearFaults();
    const repaired = await run(config);
    expect(repaired.stdout).toContain(`repaired: manifest ${child}`);
    expect(cli.target.manifest(repository(), child)).toBeDefined();
    expect(await run(config)).toMatchObject(ONE_REQUEST_EACH);
  });

  it('for signatures of each platform when mirror.audit.interval has passed', async () => {
    load();
    const config = await cli.config();
    await run(config);
    const signature = attach('web', images.web, 0);
    await run(config);
    expect(cli.target.manifest(repository(), signature)).toBeUndefined();
    await age(25 * 3_600_000);
    await run(config);
    expect(cli.target.manifest(repository(), signature)).toBeDefined();
    expect(await run(config)).toMatchObject(ONE_REQUEST_EACH);
  });

  it('again, when some of its signatures could not be copied', async () => {
    load();
    const sbom = attach('web', images.web, 0, 'sbom');
    const config = await cli.config();
    cli.source.fault({ method: 'GET', path: sbom, action: { type: 'status', status: 503 } });
    expect(await run(config)).toMatchObject({ code: 1 });
    cli.source.clearFaults();
    await run(config);
    expect(cli.target.manifest(repository(), sbom)).toBeDefined();
  });

  it('and shown in the plan of a dry run, but not within the interval', async () => {
    load();
    const config = await cli.config();
    await run(config);
    cli.target.deleteManifest(repository(), child);
    const before = writes(cli.target).length;
    expect((await run(config, '--dry-run')).stdout.match(/^up-to-date/gm)).toHaveLength(3);
    await age(25 * 3_600_000);
    expect((await run(config, '--dry-run')).stdout).toMatch(/^would-mirror .*web:1/m);
    expect(writes(cli.target)).toHaveLength(before);
  });
});
