import { describe, expect, it } from 'vitest';
import { decideGarbage, refusalsOf } from '../../../extension-service/src/core/gc/decide-garbage.js';
import type { StoredManifest } from '../../../extension-service/src/core/gc/decide-garbage.js';
import {
  formatUsageRecord,
  parseUsageRecord,
  updatedRecord,
  usageKey,
} from '../../../extension-service/src/core/gc/usage-record.js';
import type { UsageRecord } from '../../../extension-service/src/core/gc/usage-record.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = 1_000 * DAY;
const AFTER = 30 * DAY;
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const A = digest('a');
const B = digest('b');
const REPOSITORY = 'mirror/docker.io/library/nginx';

/** A healthy record. `uses` maps a tag or digest to the number of days since its last use. */
function record(cluster: string, uses: Record<string, number>, more: Partial<UsageRecord> = {}): UsageRecord {
  return {
    cluster,
    since: NOW - 100 * DAY,
    writers: new Map([[`uid-${cluster}`, NOW - HOUR]]),
    uses: new Map(Object.entries(uses).map(([name, days]) => [usageKey(REPOSITORY, name), NOW - days * DAY])),
    ...more,
  };
}

function manifest(tags: readonly string[], more: Partial<StoredManifest> = {}): StoredManifest {
  return { digest: A, tags, children: [], bytes: 10, ...more };
}

function decided(manifests: readonly StoredManifest[], ...records: readonly UsageRecord[]): readonly string[] {
  const settings = { after: AFTER, clusters: ['one'], now: NOW };
  return decideGarbage({ repository: REPOSITORY, manifests }, records, settings).map(
    ({ tags, action, reason }) => `${action} ${tags.join()}: ${reason}`,
  );
}

describe('the decision about a manifest', () => {
  it.each<[string, StoredManifest[], UsageRecord[], string[]]>([
    [
      'is to delete what all have left',
      [manifest(['1'])],
      [record('one', { 1: 31 }), record('two', { 1: 40 })],
      ['delete 1: last used 31 days ago, by cluster one'],
    ],
    [
      'is to keep what one cluster used lately',
      [manifest(['1'])],
      [record('one', { 1: 31 }), record('two', { 1: 1 })],
      ['keep 1: cluster two used it 24 h ago'],
    ],
    [
      'is to keep within the margin for clocks',
      [manifest(['1'])],
      [record('one', { 1: 30 + 1 / 24 })],
      ['keep 1: cluster one used it 30 days ago'],
    ],
    [
      'is to keep what nobody recorded',
      [manifest(['1', 'mine'])],
      [record('one', { 1: 31 })],
      ['keep 1,mine: no cluster has recorded the tag mine'],
    ],
    [
      'is to keep all tags of an image of which one is used',
      [manifest(['1', 'keep-aaaaaaaaaaaa'])],
      [record('one', { 1: 31, 'keep-aaaaaaaaaaaa': 2 })],
      ['keep 1,keep-aaaaaaaaaaaa: cluster one used it 48 h ago'],
    ],
    [
      'is to keep what is used by digest',
      [manifest(['1'])],
      [record('one', { 1: 31, [A]: 2 })],
      ['keep 1: cluster one used it 48 h ago'],
    ],
    [
      'is to keep an index of which a platform is used by digest',
      [manifest(['1'], { children: [B] })],
      [record('one', { 1: 31, [B]: 3 })],
      ['keep 1: cluster one used it 3 days ago'],
    ],
    [
      'is to keep what is used in the future, by a wrong clock',
      [manifest(['1'])],
      [record('one', { 1: -1 })],
      ['keep 1: cluster one used it -24 h ago'],
    ],
  ])('%s', (_title, manifests, records, expected) => {
    expect(decided(manifests, ...records)).toEqual(expected);
  });

  it('includes signatures, unless another image has the same platform', () => {
    const signature = manifest([`sha256-${'b'.repeat(64)}.sig`], { digest: digest('c') });
    const old = manifest(['1'], { children: [B] });
    const young = manifest(['2'], { digest: digest('d'), children: [B] });
    const uses = record('one', { 1: 31, 2: 1 });
    expect(decided([old, signature], uses)[1]).toBe(`delete ${signature.tags.join()}: belongs to ${B}`);
    expect(decided([old, young, signature], uses)[2]).toMatch(/^keep /);
    expect(decided([signature], uses)).toEqual([expect.stringMatching(/^keep .*: it belongs to another manifest/)]);
  });

  it('includes the signature of a sha512 image, whose tag has half of its digits', () => {
    const image = manifest(['1'], { digest: `sha512:${'a'.repeat(64)}${'b'.repeat(64)}` });
    const signature = manifest([`sha512-${'a'.repeat(64)}.sig`], { digest: digest('c') });
    expect(decided([image, signature], record('one', { 1: 31 }))[1]).toMatch(/^delete /);
    expect(decided([image, signature], record('one', { 1: 1 }))[1]).toMatch(/^keep /);
  });

  it('reports platforms without an index as orphans', () => {
    const old = manifest(['1'], { children: [B, digest('e'), digest('f')] });
    const others = [manifest(['2'], { digest: digest('d'), children: [B] }), manifest(['f'], { digest: digest('f') })];
    const settings = { after: AFTER, clusters: ['one'], now: NOW };
    const [decision] = decideGarbage(
      { repository: REPOSITORY, manifests: [old, ...others] },
      [record('one', { 1: 31, 2: 1 })],
      settings,
    );
    expect(decision).toMatchObject({ action: 'delete', orphans: [digest('e')] });
  });

  it('reports a platform of several deleted indexes once, with the last of them', () => {
    const indexes = ['1', '2', '3'].map((tag) => manifest([tag], { digest: digest(tag), children: [B, A, B] }));
    indexes.push(manifest(['4'], { digest: digest('4'), children: [digest('e')] }));
    const settings = { after: AFTER, clusters: ['one'], now: NOW };
    const decisions = decideGarbage(
      { repository: REPOSITORY, manifests: indexes },
      [record('one', { 1: 31, 2: 31, 3: 31, 4: 31 })],
      settings,
    );
    expect(decisions.map(({ orphans }) => orphans)).toEqual([[], [], [B, A], [digest('e')]]);
  });
});

it('a platform with its own tag is deleted once and separately', () => {
  const old = manifest(['1'], { children: [B, digest('e')] });
  const settings = { after: AFTER, clusters: ['one'], now: NOW };
  const decisions = decideGarbage(
    { repository: REPOSITORY, manifests: [old, manifest(['2'], { digest: B })] },
    [record('one', { 1: 31, 2: 31 })],
    settings,
  );
  expect(decisions.map(({ action, orphans }) => [action, orphans])).toEqual([
    ['delete', [digest('e')]],
    ['delete', []],
  ]);
});

describe('a refusal to delete anything', () => {
  const good = record('one', { 1: 31 });
  const refused = (
    clusters: readonly string[],
    records: readonly (readonly [string, UsageRecord | undefined])[],
  ): readonly string[] => refusalsOf(new Map(records), { after: AFTER, clusters, now: NOW });

  it.each<[string, readonly string[], readonly (readonly [string, UsageRecord | undefined])[], RegExp]>([
    ['no cluster is named', [], [['one', good]], /gc\.clusters names no cluster/],
    ['a cluster has no record', ['one', 'two'], [['one', good]], /cluster two has no record/],
    [
      'a record cannot be read',
      ['one'],
      [
        ['one', good],
        ['two', undefined],
      ],
      /cluster two cannot be read/,
    ],
    [
      'a record is too old',
      ['one'],
      [['one', record('one', { 1: 31 }, { writers: new Map([['a', NOW - 25 * HOUR]]) })]],
      /is 25 h old/,
    ],
    ['a record was emptied', ['one'], [['one', record('one', {})]], /names no image/],
    ['a record was begun again', ['one'], [['one', record('one', { 1: 31 }, { since: NOW - DAY })]], /covers 24 h/],
    [
      'a clock is an hour ahead',
      ['one'],
      [['one', record('one', { 1: 31 }, { writers: new Map([['a', NOW + HOUR]]) })]],
      /is 1 h ahead/,
    ],
    [
      'two clusters have one name',
      ['one'],
      [
        [
          'one',
          record(
            'one',
            { 1: 31 },
            {
              writers: new Map([
                ['a', NOW],
                ['b', NOW - HOUR],
              ]),
            },
          ),
        ],
      ],
      /2 installations write the record of cluster one/,
    ],
    [
      'a cluster outside the list still writes, and has forgotten its uses',
      ['one'],
      [
        ['one', good],
        ['two', record('two', { 1: 31 }, { since: NOW - DAY })],
      ],
      /the record of cluster two covers 24 h/,
    ],
    [
      'the record of a cluster outside the list that still writes was emptied',
      ['one'],
      [
        ['one', good],
        ['two', record('two', {})],
      ],
      /the record of cluster two names no image/,
    ],
    ['a record is under another name', ['one'], [['one', record('two', { 1: 31 })]], /is that of two/],
  ])('occurs when %s', (_title, clusters, records, message) => {
    expect(refused(clusters, records)).toEqual([expect.stringMatching(message)]);
  });

  it('does not occur for an earlier installation of a cluster without writes for a day', () => {
    const writers = new Map([
      ['before', NOW - 25 * HOUR],
      ['now', NOW],
    ]);
    expect(refused(['one'], [['one', record('one', { 1: 31 }, { writers })]])).toEqual([]);
  });

  it('does not occur for a cluster that was removed from the list, whose uses still protect images', () => {
    const gone = record('two', { 1: 3 }, { writers: new Map([['b', NOW - 3 * DAY]]) });
    expect(
      refused(
        ['one'],
        [
          ['one', good],
          ['two', gone],
        ],
      ),
    ).toEqual([]);
    expect(decided([manifest(['1'])], good, gone)[0]).toMatch(/^keep /);
  });
});

describe('a record', () => {
  const usage = (writer: string, now: number, ...names: readonly string[]) => ({
    cluster: 'one',
    writer,
    now,
    uses: new Map(names.map((name) => [name, now])),
  });

  it('keeps earlier uses and counts both of two installations with one name, until one has not written for a day', () => {
    const first = updatedRecord(undefined, usage('a', NOW, 'x:1'));
    const both = updatedRecord(first, usage('b', NOW + HOUR, 'y:1'));
    expect([...both.writers.keys()]).toEqual(['a', 'b']);
    expect(new Map(both.uses)).toEqual(
      new Map([
        ['x:1', NOW],
        ['y:1', NOW + HOUR],
      ]),
    );
    expect([...updatedRecord(both, usage('b', NOW + 25 * HOUR)).writers.keys()]).toEqual(['b']);
  });

  it('never returns to an earlier use, and drops uses from 800 days ago', () => {
    const first = updatedRecord(undefined, usage('a', NOW, 'x:1'));
    const earlier = { ...usage('a', NOW + HOUR), uses: new Map([['x:1', NOW - HOUR]]) };
    expect(updatedRecord(first, earlier).uses.get('x:1')).toBe(NOW);
    const [before, after] = [799, 800].map((days) => updatedRecord(first, usage('a', NOW + days * DAY)).uses.size);
    expect([before, after]).toEqual([1, 0]);
  });

  it('starts again when it was emptied', () => {
    const first = updatedRecord(undefined, usage('a', NOW, 'x:1'));
    expect(updatedRecord(first, usage('a', NOW + DAY)).since).toBe(NOW);
    expect(updatedRecord({ ...first, uses: new Map() }, usage('a', NOW + DAY, 'x:1')).since).toBe(NOW + DAY);
  });

  it('is read as it was written', () => {
    const written = updatedRecord(undefined, usage('a', NOW, 'x:1', `x@${A}`));
    expect(parseUsageRecord(formatUsageRecord(written))).toEqual(written);
  });

  it('never covers more or reports later uses when its times are truncated to seconds', () => {
    const written = updatedRecord(undefined, { ...usage('a', NOW + 1, 'x:1') });
    const read = parseUsageRecord(formatUsageRecord(written));
    expect([read.since, read.uses.get('x:1')]).toEqual([NOW + 1_000, NOW]);
  });

  it.each([
    '',
    '[]',
    '{"version":2}',
    '{"version":1,"cluster":"a","since":1,"writers":{},"uses":{"x":"1"}}',
    '{"version":1,"cluster":"a","since":1,"writers":[],"uses":{}}',
    '{"version":2,"cluster":"a","since":1,"writers":{},"uses":{}}',
    '{"version":1,"cluster":7,"since":1,"writers":{},"uses":{}}',
    '{"version":1,"cluster":"a","since":-1,"writers":{},"uses":{}}',
    '{"version":1,"cluster":"a","since":1,"writers":{"w":-1},"uses":{}}',
    '{"version":1,"cluster":"a","since":1,"writers":{},"uses":{"x:1":1e99}}',
    '{"version":1,"cluster":"a","since":1,"writers":{},"uses":{"x:1":null}}',
  ])('is refused when it is %j', (text) => {
    expect(() => parseUsageRecord(text)).toThrow(/the record/);
  });
});

/** A pseudo-random number generator with a seed, so that every run has the same histories. */
function generator(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

/**
 * Simulates three clusters that share one repository, in steps of four hours for 40 days. Images come into use and go
 * out of use. The clocks are wrong by up to an hour. Clusters go down, their records are emptied or deleted, two
 * clusters have the same name, and one is removed from the list.
 */
function runHistory(seed: number): { readonly deleted: number; readonly refused: number } {
  const random = generator(seed);
  const after = (1 + random(6)) * DAY;
  const images = Array.from({ length: 12 }, (_, index) => {
    const own = digest(index.toString(16));
    return manifest(index % 4 === 3 ? [`t${index}`, `keep-${index}`] : [`t${index}`], {
      digest: own,
      children: index % 3 === 0 ? [`sha256:${'0123456789abcdef'.charAt(15 - index).repeat(63)}${index % 2}`] : [],
    });
  });
  const sharesDigest = random(8) === 0;
  const clusters = ['one', 'two', 'three'].map((name, index) => ({
    name: sharesDigest && index === 2 ? 'two' : name,
    uid: `uid-${index}`,
    offset: (random(3) - 1) * random(HOUR + 1),
    using: new Map<string, string>(),
    unwritten: new Map<string, number>(),
    downUntil: 0,
  }));
  const records = new Map<string, UsageRecord>();
  let listed = [...new Set(clusters.map(({ name }) => name))];
  const lastUsed = new Map<string, number>();
  const stored = new Map(images.map((image) => [image.digest, image]));
  const gcOffset = (random(3) - 1) * random(HOUR + 1);
  let [deleted, refused] = [0, 0];
  for (let time = NOW; time < NOW + 40 * DAY; time += 4 * HOUR) {
    for (const cluster of clusters) {
      const isDown = cluster.downUntil > time;
      if (!isDown && random(300) === 0) cluster.downUntil = time + random(60) * HOUR;
      if (!isDown && random(30) === 0) {
        const image = images[random(images.length)];
        if (image !== undefined && stored.has(image.digest)) {
          const names = [...image.tags, image.digest, ...image.children];
          cluster.using.set(image.digest, names[random(names.length)] ?? '');
        }
      }
      for (const used of [...cluster.using.keys()]) if (random(40) === 0) cluster.using.delete(used);
      // A cluster that is down does not start new Pods and does not write its record.
      if (isDown) continue;
      for (const [used, name] of cluster.using) {
        lastUsed.set(used, time);
        cluster.unwritten.set(usageKey(REPOSITORY, name), time + cluster.offset);
      }
      const before = records.get(cluster.name);
      const now = time + cluster.offset;
      records.set(
        cluster.name,
        updatedRecord(before, { cluster: cluster.name, writer: cluster.uid, now, uses: cluster.unwritten }),
      );
      cluster.unwritten.clear();
    }
    // Each mirrored image has been used once by its tag.
    if (time === NOW) {
      const [first] = clusters;
      const uses = new Map(images.flatMap(({ tags }) => tags).map((tag) => [usageKey(REPOSITORY, tag), time]));
      if (first !== undefined)
        records.set('one', updatedRecord(records.get('one'), { cluster: 'one', writer: first.uid, now: time, uses }));
    }
    if (random(500) === 0) {
      const name = listed[random(listed.length)] ?? '';
      const found = records.get(name);
      if (random(2) === 0 || found === undefined) records.delete(name);
      else records.set(name, { ...found, uses: new Map() });
    }
    if (listed.length > 1 && random(700) === 0) listed = listed.slice(0, -1);
    if (random(6) !== 0) continue;
    const settings = { after, clusters: listed, now: time + gcOffset };
    if (refusalsOf(records, settings).length > 0) {
      refused += 1;
      continue;
    }
    const decisions = decideGarbage(
      { repository: REPOSITORY, manifests: [...stored.values()] },
      [...records.values()],
      settings,
    );
    for (const { action, digest: gone } of decisions) {
      if (action !== 'delete') continue;
      deleted += 1;
      stored.delete(gone);
      // A cluster that is down still runs its images. They are not protected when the cluster has been removed from the
      // list, or when another cluster writes under its name and so appears to replace it.
      const counts = ({ name, downUntil }: { name: string; downUntil: number }): boolean =>
        downUntil <= time || (listed.includes(name) && !(sharesDigest && name === 'two'));
      const users = clusters.filter((cluster) => cluster.using.has(gone) && counts(cluster));
      expect(
        users.map(({ name }) => name),
        `history ${seed}: ${gone} is used`,
      ).toEqual([]);
      expect(time - (lastUsed.get(gone) ?? 0), `history ${seed}: ${gone} was used lately`).toBeGreaterThanOrEqual(
        after,
      );
    }
  }
  return { deleted, refused };
}

it('deletes only unused images in 1,000 histories over 3 clusters', () => {
  let [deleted, refused] = [0, 0];
  for (let seed = 1; seed <= 1_000; seed++) {
    const result = runHistory(seed);
    deleted += result.deleted;
    refused += result.refused;
  }
  expect(deleted).toBeGreaterThan(1_000);
  expect(refused).toBeGreaterThan(1_000);
});
