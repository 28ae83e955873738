import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { garbageOf } from '../../../extension-service/src/background/garbage.js';
import { parseUsageRecord } from '../../../extension-service/src/core/gc/usage-record.js';
import { UsageStore } from '../../../extension-service/src/targets/garbage/usage-store.js';
import { Registries } from '../../../extension-service/src/targets/registries.js';
import { freePort } from '../../fakes/free-port.js';
import { parse } from '../../unit/config/parsing.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { FakeRegistryOptions } from '../../fakes/registry.js';
import type { ProgramResult } from '../../fakes/program.js';
import { putUsageRecord } from '../../fakes/usage-record.js';
import { useCli } from './cli.js';

const cli = useCli();
const DAY = 86_400;
const now = Math.floor(Date.now() / 1_000);
const USAGE = 'mirror/image-swapper-usage';
const APP = 'mirror/docker.io/library/app';

/** A healthy usage record. Uses are given in days ago, by repository and tag or digest. */
function putRecord(cluster: string, uses: Readonly<Record<string, number>>, more: object = {}): void {
  const times = new Map(Object.entries(uses).map(([key, days]) => [key, now - days * DAY]));
  putUsageRecord(cli.target, cluster, { now, uses: times, more });
}

interface Row {
  readonly image: string;
  readonly state: string;
  readonly reason: string;
  readonly bytes: number;
}

async function gc(...args: readonly string[]): ReturnType<typeof gcWith> {
  return gcWith({}, ...args);
}

async function gcWith(
  keys: object,
  ...args: readonly string[]
): Promise<ProgramResult & { readonly rows: readonly Row[]; readonly stopped: string }> {
  const config = await cli.config({ gc: { after: '720h', clusters: ['one', 'two'], ...keys } }, 'gc.yaml');
  const ended = await cli.swapper(['gc', '--config', config, '-o', 'json', ...args]);
  const result = ended.stdout === '' ? {} : (JSON.parse(ended.stdout) as { images?: Row[]; stopped?: object[] });
  return { ...ended, rows: result.images ?? [], stopped: JSON.stringify(result.stopped ?? []) };
}

const deletions = (): string[] => cli.target.requests(({ method }) => method === 'DELETE');

describe('gc', () => {
  it('deletes only images that no cluster uses, with their signatures and platforms', async () => {
    const [old, young, foreign] = [1, 2, 3].map((seed) => buildImage({ seed }));
    if (old === undefined || young === undefined || foreign === undefined) throw new Error('no images');
    loadImage(cli.target, APP, old, 'old');
    loadImage(cli.target, APP, young, 'young');
    loadImage(cli.target, APP, foreign, 'by-hand');
    const top = old.manifests.at(-1);
    if (top === undefined) throw new Error('no index');
    const { manifest: signature } = buildReferrer(top, 'application/x', 'signature');
    cli.target.putManifest(APP, `sha256-${old.digest.slice(7)}.sig`, signature.mediaType, signature.bytes);
    // Repositories of other users, below the prefix and outside it.
    loadImage(cli.target, 'mirror/own', old, 'old');
    loadImage(cli.target, 'docker.io/library/app', old, 'old');
    const uses = { [`${APP}:old`]: 40, [`${APP}:young`]: 40, 'docker.io/library/app:old': 40 };
    putRecord('one', uses);
    putRecord('two', { [`${APP}:young`]: 3 });

    const plan = await gc('--dry-run');
    expect(plan, plan.stderr).toMatchObject({ code: 0, stopped: '[]' });
    expect(deletions()).toEqual([]);
    const states = (rows: readonly Row[]): string[] =>
      rows.map(({ image, state }) => `${state} ${image.slice(-8)}`).sort();
    const short = ({ digest }: { readonly digest: string }): string => digest.slice(-8);
    expect(states(plan.rows)).toEqual(
      [
        `would-delete ${short(old)}`,
        `would-delete ${short(signature)}`,
        `kept ${short(young)}`,
        `kept ${short(foreign)}`,
      ].sort(),
    );
    expect(plan.rows.find(({ image }) => image.endsWith(old.digest))).toMatchObject({
      reason: 'last used 40 days ago, by cluster one',
      bytes: old.blobBytes,
    });

    const before = cli.target.accessLog.length;
    const ended = await gc();
    expect(ended).toMatchObject({ code: 0 });
    expect(deletions().sort()).toEqual(
      [...old.manifests, signature].map(({ digest }) => `DELETE /v2/${APP}/manifests/${digest}`).sort(),
    );
    const requests = cli.target
      .requests()
      .slice(before)
      .filter((line) => line.includes(APP) && !line.includes('_'));
    expect(requests.length).toBeLessThanOrEqual(3 * (old.manifests.length + young.manifests.length));
    expect(cli.target.tags(APP)).toEqual(['by-hand', 'young']);
    expect(cli.target.tags('mirror/own')).toEqual(['old']);
    expect(cli.target.tags('docker.io/library/app')).toEqual(['old']);
    expect((await gc()).rows.map(({ state }) => state)).toEqual(['kept', 'kept']);
  });

  it('makes at most three requests per image', async () => {
    const uses: Record<string, number> = {};
    for (let index = 0; index < 40; index++) {
      const repository = `mirror/docker.io/library/app-${index}`;
      loadImage(cli.target, repository, buildImage({ platforms: ['linux/amd64'], seed: index, layersPerPlatform: 1 }));
      const image = cli.target.manifest(
        repository,
        buildImage({ platforms: ['linux/amd64'], seed: index, layersPerPlatform: 1 }).manifests[0]?.digest ?? '',
      );
      cli.target.putManifest(repository, '1', image?.mediaType ?? '', image?.bytes ?? Buffer.alloc(0));
      uses[`${repository}:1`] = 50;
    }
    putRecord('one', uses);
    putRecord('two', { 'mirror/docker.io/library/x:1': 1 });
    const { rows } = await gc();
    expect(rows.filter(({ state }) => state === 'deleted')).toHaveLength(40);
    expect(cli.target.requests().filter((line) => line.includes('/app-')).length).toBeLessThanOrEqual(3 * 40);
  });

  describe('deletes the platforms of an index', () => {
    const platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7'];
    const images = Array.from({ length: 15 }, (_, seed) => buildImage({ platforms, seed, layersPerPlatform: 1 }));
    /** The first requests of each run show whether the registry deletes platforms: HEAD and DELETE of each. */
    const trial = (indexes: number): number => indexes * (1 + platforms.length);
    const each = (requests: number): number => requests * images.length;
    /** Two lists of tags, and read and delete each image. */
    const least = 2 + each(2);

    /** @returns the number of requests, without those of records */
    async function collected(keys: object = {}): Promise<number> {
      images.forEach((image, index) => loadImage(cli.target, APP, image, `v${String(index).padStart(2, '0')}`));
      const uses = images.map((_, index) => [`${APP}:v${String(index).padStart(2, '0')}`, 50] as const);
      putRecord('one', Object.fromEntries(uses));
      putRecord('two', { 'mirror/docker.io/library/x:1': 1 });
      const { rows } = await gcWith(keys);
      expect(rows.map(({ state }) => state)).toEqual(images.map(() => 'deleted'));
      return cli.target.requests((entry) => entry.path.includes(APP)).length;
    }

    async function restart(options: FakeRegistryOptions): Promise<void> {
      await cli.target.close();
      cli.target = await FakeRegistry.start(options);
    }

    it.each<[string, 'auto' | boolean | undefined, FakeRegistryOptions, number]>([
      ['a registry that keeps them', undefined, {}, least + each(platforms.length) + 1],
      ['a registry that keeps them', 'auto', {}, least + each(platforms.length) + 1],
      ['a registry that keeps them', true, {}, least + each(platforms.length)],
      ['a registry that deletes them', undefined, { deletesPlatforms: true }, least + trial(3)],
      ['a registry that deletes them', true, { deletesPlatforms: true }, least + each(platforms.length)],
      ['a registry that deletes them', false, { deletesPlatforms: true }, least],
    ])('of %s, with deletePlatforms %s', async (_title, deletePlatforms, options, requests) => {
      await restart(options);
      expect(await collected(deletePlatforms === undefined ? {} : { deletePlatforms })).toBe(requests);
      expect(cli.target.digests(APP)).toEqual([]);
    });

    // None of these shows that the registry deletes platforms.
    it.each<[string, () => void]>([
      [
        'platforms were missing before',
        () => {
          for (const { platforms: digests } of images.slice(0, 3))
            for (const path of digests.values()) cli.target.fault({ path, action: { type: 'status', status: 404 } });
        },
      ],
      [
        'the registry does not answer a HEAD',
        () => cli.target.fault({ method: 'HEAD', path: APP, action: { type: 'status', status: 403 } }),
      ],
      [
        'another process deletes the same images',
        () => {
          for (const { manifests } of images.slice(0, 3))
            for (const { digest } of manifests)
              cli.target.fault({ method: 'DELETE', path: digest, action: { type: 'status', status: 404 } });
        },
      ],
      [
        'something else deletes the platforms of two indexes',
        () => {
          for (const { platforms: digests } of images.slice(0, 2))
            for (const digest of digests.values())
              cli.target.fault({ method: 'DELETE', path: digest, action: { type: 'status', status: 404 } });
        },
      ],
    ])('when %s', async (_title, fail) => {
      fail();
      await collected();
      for (const { manifests } of images.slice(3))
        for (const { digest } of manifests) expect(cli.target.manifest(APP, digest)).toBeUndefined();
    });
  });

  it.each<[string, boolean, readonly string[]]>([
    ['once, after both', false, []],
    ['not while the registry keeps one of them', true, ['first']],
  ])('deletes a platform of two indexes %s', async (_title, isKept, tags) => {
    const shared = buildImage({ seed: 1 });
    const [top] = shared.manifests.slice(-1);
    if (top === undefined) throw new Error('no index');
    loadImage(cli.target, APP, shared, 'first');
    const other = { ...(JSON.parse(top.bytes.toString()) as object), annotations: { build: '2' } };
    const second = cli.target.putManifest(APP, 'second', top.mediaType, Buffer.from(JSON.stringify(other)));
    putRecord('one', { [`${APP}:first`]: 40, [`${APP}:second`]: 40 });
    putRecord('two', { 'mirror/docker.io/library/x:1': 1 });
    if (isKept) cli.target.fault({ method: 'DELETE', path: top.digest, action: { type: 'status', status: 409 } });
    const { rows } = await gc();
    expect(rows.map(({ state }) => state).sort()).toEqual(isKept ? ['deleted', 'failed'] : ['deleted', 'deleted']);
    expect(cli.target.tags(APP)).toEqual(tags);
    const platforms = [...shared.platforms.values()];
    expect(platforms.filter((digest) => cli.target.manifest(APP, digest) !== undefined)).toEqual(
      isKept ? platforms : [],
    );
    expect(deletions().sort()).toEqual(
      [top.digest, second, ...(isKept ? [] : platforms)]
        .map((digest) => `DELETE /v2/${APP}/manifests/${digest}`)
        .sort(),
    );
  });

  it('reports that the registry or the account does not allow deletion', async () => {
    loadImage(cli.target, APP, buildImage({ seed: 1 }), 'old');
    putRecord('one', { [`${APP}:old`]: 40 });
    putRecord('two', { [`${APP}:other`]: 1 });
    for (const [status, advice] of [
      [405, 'does not allow deletion, or it is turned off'],
      [403, 'allow the account to delete there'],
    ] as const) {
      cli.target.clearFaults();
      cli.target.fault({ method: 'DELETE', path: APP, action: { type: 'status', status } });
      const ended = await gc();
      expect(ended).toMatchObject({ code: 1, rows: [{ state: 'failed' }] });
      expect(ended.stdout).toContain(advice);
    }
    expect(cli.target.tags(APP)).toEqual(['old']);
  });

  it.each<[string, () => void, string]>([
    ['a cluster has no record', () => undefined, 'cluster two has no record'],
    ['a cluster is silent', () => putRecord('two', { x: 1 }, { writers: { a: now - 2 * DAY } }), 'is 48 h old'],
    [
      'a clock is an hour ahead',
      () => putRecord('two', { x: 1 }, { writers: { a: now + 3_600 } }),
      'is 1 h ahead of the clock here',
    ],
    [
      'two clusters have one name',
      () => putRecord('two', { x: 1 }, { writers: { a: now, b: now } }),
      '2 installations write',
    ],
    ['a record was emptied', () => putRecord('two', {}), 'it was emptied'],
    [
      'a record was begun again',
      () => putRecord('two', { x: 1 }, { since: now - DAY }),
      'gc waits until it covers gc.after',
    ],
    [
      'a record is not one',
      () => putRecord('two', { x: 1 }, { version: 7 }),
      'the record of cluster two cannot be read',
    ],
    [
      'another cluster cannot be read',
      () => {
        putRecord('two', { x: 1 });
        putRecord('three', { x: 1 }, { uses: 'all' });
      },
      'the record of cluster three cannot be read',
    ],
  ])('deletes nothing when %s', async (_title, put, message) => {
    loadImage(cli.target, APP, buildImage({ seed: 1 }), 'old');
    putRecord('one', { [`${APP}:old`]: 40 });
    put();
    const ended = await gc();
    expect(ended).toMatchObject({ code: 1, rows: [] });
    expect(ended.stopped).toContain(message);
    expect(deletions()).toEqual([]);
  });

  it('is off without clusters', async () => {
    const ended = await cli.swapper(['gc', '--config', await cli.config()]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('gc.clusters is empty');
  });
});

describe('gc of a leader', () => {
  /** A configuration with two targets: the registry of the first does not exist, and the second is the fake. */
  async function collect(beforeDelete: () => Promise<void> = () => Promise.resolve()) {
    const away = `127.0.0.1:${await freePort()}`;
    const oci = (registry: string): object => ({ type: 'oci', oci: { registry, prefix: 'mirror', insecure: true } });
    const { config } = parse(
      stringify({
        targets: [{ name: 'away', match: "obj.metadata.namespace == 'a'", ...oci(away) }],
        target: oci(cli.target.host),
        gc: { clusters: ['one'] },
      }),
    );
    const registries = new Registries(config, {
      env: {},
      readSecret: () => Promise.reject(new Error('no Secret')),
      cloud: () => undefined,
      report: () => undefined,
    });
    try {
      return await garbageOf(() => registries).collect(config, beforeDelete, new AbortController().signal);
    } finally {
      registries.close();
    }
  }

  it('continues with the other targets when one cannot be read, and reports the reason', async () => {
    loadImage(cli.target, APP, buildImage({ seed: 1 }), 'old');
    putRecord('one', { [`${APP}:old`]: 40 });
    expect(await collect()).toEqual([
      {
        ...{ target: 'away', deleted: 0, bytes: 0, failures: [] },
        refusals: [expect.stringMatching(/127\.0\.0\.1.*ECONNREFUSED/)],
      },
      expect.objectContaining({ target: 'default', refusals: [], deleted: 1 }),
    ]);
  });

  it('keeps an image that got another tag while the deletion was prepared', async () => {
    const image = buildImage({ seed: 1 });
    loadImage(cli.target, APP, image, 'old');
    loadImage(cli.target, APP, buildImage({ seed: 2 }), 'young');
    putRecord('one', { [`${APP}:old`]: 40, [`${APP}:young`]: 1 });
    const [, result] = await collect(() => {
      loadImage(cli.target, APP, image, 'new');
      return Promise.resolve();
    });
    expect(result).toMatchObject({ refusals: [], deleted: 0 });
    expect(cli.target.tags(APP)).toEqual(['new', 'old', 'young']);
    expect(deletions()).toEqual([]);
  });

  it('keeps an image that is used again while the deletion was prepared', async () => {
    loadImage(cli.target, APP, buildImage({ seed: 1 }), 'old');
    putRecord('one', { [`${APP}:old`]: 40 });
    const [, result] = await collect(() => {
      putRecord('one', { [`${APP}:old`]: 0 });
      return Promise.resolve();
    });
    expect(result).toMatchObject({ refusals: [], deleted: 0 });
    expect(deletions()).toEqual([]);
  });
});

describe('the records of clusters', () => {
  function store(): UsageStore {
    const factory = new RegistryFactory({
      endpoints: [{ host: cli.target.host, insecure: true }],
      hosts: { allow: ['127.0.0.1'], deny: [] },
      env: {},
    });
    return new UsageStore(factory.client(cli.target.host, { resolve: () => Promise.resolve([]) }), { path: 'mirror' });
  }
  const signal = new AbortController().signal;
  const usage = (writer: string, at: number, ...keys: readonly string[]) => ({
    cluster: 'one',
    writer,
    now: at,
    uses: new Map(keys.map((key) => [key, at])),
  });

  it('are merged into one tag each, and the previous one is deleted', async () => {
    await store().update(usage('a', now * 1_000, 'x:1'), signal);
    await store().update(usage('b', now * 1_000 + 5_000, 'y:1'), signal);
    expect(cli.target.tags(USAGE)).toEqual(['one']);
    const manifest = JSON.parse(cli.target.manifest(USAGE, 'one')?.bytes.toString() ?? '') as {
      artifactType: string;
      layers: { digest: string }[];
    };
    expect(manifest.artifactType).toBe('application/vnd.image-swapper.usage.v1');
    const content = cli.target.blob(manifest.layers[0]?.digest ?? '', USAGE);
    const record = parseUsageRecord(Buffer.concat([...(content?.chunks(0, content.size) ?? [])]).toString());
    expect([...record.uses.keys()].sort()).toEqual(['x:1', 'y:1']);
    expect([...record.writers.keys()].sort()).toEqual(['a', 'b']);
    expect(deletions()).toHaveLength(1);
    const all = await store().records(signal);
    expect(all.get('one')).toEqual(record);
  });

  it('are not overwritten when another program wrote them', async () => {
    putRecord('one', { x: 1 }, { version: 9 });
    const before = cli.target.manifest(USAGE, 'one')?.digest;
    await expect(store().update(usage('a', now * 1_000, 'x:1'), signal)).rejects.toThrow(
      'version 9: update image-swapper',
    );
    expect(cli.target.manifest(USAGE, 'one')?.digest).toBe(before);
  });
});
