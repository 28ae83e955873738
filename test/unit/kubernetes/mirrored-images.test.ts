import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { decidedTargets, policiesForConfig } from '../../../extension-service/src/core/engines/for-config.js';
import { readTable } from '../../../extension-service/src/core/engines/mutating-admission-policy/read-table.js';
import type { TableEntry } from '../../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import { formatReference, parseReference } from '../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../extension-service/src/core/naming/name.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { MirroredImages } from '../../../extension-service/src/kubernetes/image-table/mirrored-images.js';
import type { TableReport } from '../../../extension-service/src/kubernetes/image-table/mirrored-images.js';
import { configOf, ociTarget } from '../decide/rules-of.js';

const config = configOf({ target: { ...ociTarget('mirror.test'), name: 'default' } });
const [target] = decidedTargets(config, namingTarget);
if (target === undefined) throw new Error('no target');

function job(text: string): MirrorJob {
  const source = parseReference(text);
  const reference = targetReference(target?.naming ?? namingTarget(ociTarget('mirror.test')), source);
  return {
    ...{ key: reference.text, source: formatReference(source), target: target?.naming.name ?? '' },
    ...{ reference, platforms: 'all', force: false },
  };
}

function name(text: string): string {
  return job(text).reference.text;
}

function entryOf(text: string): TableEntry {
  const { registry, repository } = job(text).reference;
  return { source: parseReference(text), target: target?.naming.name ?? '', registry, repository };
}

/** Counts the elements of every map, set and list that an object holds. */
function entriesHeld(value: unknown, seen = new Set<unknown>()): number {
  if (typeof value !== 'object' || value === null || seen.has(value)) return 0;
  seen.add(value);
  const inner =
    value instanceof Map || value instanceof Set
      ? [...value.values()]
      : Object.entries(value).flatMap(([key, one]: [string, unknown]) => (key === 'config' ? [] : [one]));
  const own = value instanceof Map || value instanceof Set ? value.size : Array.isArray(value) ? value.length : 0;
  return inner.reduce<number>((sum, one) => sum + entriesHeld(one, seen), own);
}

function sizes(images: MirroredImages, of = config): readonly [large: number, recent: number] {
  const { large, recent } = images.render(of);
  return [large.size, recent.size];
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

function started(): { readonly images: MirroredImages; readonly reports: TableReport[]; readonly log: string[] } {
  const reports: TableReport[] = [];
  const log: string[] = [];
  const images = new MirroredImages({
    onReport: (report) => reports.push(report),
    log: (_level, message) => log.push(message),
  });
  return { images, reports, log };
}

describe('the images of the table', () => {
  it('are due at once for the first change, and 5 s after a write for later ones', async () => {
    const { images } = started();
    const { signal } = new AbortController();
    const dues: number[] = [];
    const wait = () => images.due(signal).then(() => dues.push(Date.now() - 1_000_000));
    void wait();
    await vi.advanceTimersByTimeAsync(100);
    expect(dues).toEqual([]);
    images.present(job('nginx:1'));
    await vi.advanceTimersByTimeAsync(0);
    expect(dues).toEqual([100]);
    images.render(config);
    images.recordWrites(2);
    images.present(job('nginx:2'));
    void wait();
    await vi.advanceTimersByTimeAsync(4_999);
    expect(dues).toEqual([100]);
    await vi.advanceTimersByTimeAsync(1);
    expect(dues).toEqual([100, 5_100]);
  });

  it('are not due again for an image that is known, or after a write that contained the change', async () => {
    const { images } = started();
    const abort = new AbortController();
    images.present(job('nginx:1'));
    images.render(config);
    images.recordWrites(1);
    images.present(job('nginx:1'));
    let isDue = false;
    void images.due(abort.signal).then(() => (isDue = !abort.signal.aborted));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isDue).toBe(false);
    abort.abort();
  });

  it('are due for at most 12 objects per minute when each write sends two', async () => {
    const { images } = started();
    const { signal } = new AbortController();
    const dues: number[] = [];
    for (let index = 0; index < 8; index += 1) {
      images.present(job(`nginx:${index}`));
      images.missing(job(`nginx:${index}`));
      void images.due(signal).then(() => dues.push(Date.now() - 1_000_000));
      await vi.advanceTimersByTimeAsync(0);
      while (dues.length <= index) await vi.advanceTimersByTimeAsync(1_000);
      images.render(config);
      images.recordWrites(2);
    }
    expect(dues).toEqual([0, 5_000, 10_000, 15_000, 20_000, 25_000, 60_000, 65_000]);
  });

  it('are left as they are by a pass for another reason that comes before the next write is due', () => {
    const { images } = started();
    for (let index = 0; index < 6; index += 1) {
      images.present(job(`nginx:${index}`));
      expect(images.tablesFor(config).recent.size).toBe(index + 1);
      images.recordWrites(2);
      vi.advanceTimersByTime(5_000);
    }
    images.present(job('nginx:new'));
    // The leader looks at its policies 30 s after the last write.
    expect(images.tablesFor(config).recent.size).toBe(6);
    images.recordWrites(0);
    vi.advanceTimersByTime(25_000);
    expect(images.tablesFor(config).recent.size).toBe(6);
    // Another configuration is never late.
    expect(images.tablesFor({ ...config, logLevel: 'debug' }).recent.size).toBe(7);
  });

  it('are omitted, and counted once in the log, when a table has no room for them or cannot quote them', () => {
    const { images, log, reports } = started();
    const long = 'x'.repeat(120);
    images.render(config);
    for (let index = 0; index < 8_500; index += 1) images.present(job(`registry.example.com/${long}-${index}/app:1`));
    images.present({ ...job('nginx:1'), reference: { ...job('nginx:1').reference, repository: 'a"b', text: 'odd' } });
    const write = (): void => {
      images.render(config);
      images.recordWrites(2);
    };
    write();
    images.present(job('nginx:2'));
    write();
    const [report] = reports;
    expect(report?.omittedForSpace).toBeGreaterThan(0);
    expect((report?.entries ?? 0) + (report?.omittedForSpace ?? 0) + (report?.unquotable ?? 0)).toBe(8_501);
    expect(log).toEqual([
      `${report?.omittedForSpace ?? 0} mirrored images do not fit in the API server's table, so Pods keep their source: use the engine webhook for this many images, or let it cover some namespaces`,
      "1 mirrored images have names with characters that the API server's table does not hold, so Pods keep their source",
    ]);
  });

  it('enter the recent part, and move to the large part once an hour', () => {
    const { images } = started();
    images.present(job('nginx:1'));
    expect(sizes(images)).toEqual([0, 1]);
    vi.advanceTimersByTime(3_600_000);
    images.present(job('nginx:1'));
    images.present(job('nginx:2'));
    expect(sizes(images)).toEqual([2, 0]);
    images.present(job('nginx:3'));
    expect(sizes(images)).toEqual([2, 1]);
  });

  it('are due once an hour without changes, so that one write merges both parts', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    images.render(config);
    images.recordWrites(1);
    vi.advanceTimersByTime(3_599_000);
    images.present(job('nginx:1'));
    expect(sizes(images)).toEqual([0, 1]);
    images.recordWrites(0);
    expect(reports).toHaveLength(1);
    vi.advanceTimersByTime(1_000);
    expect(sizes(images)).toEqual([1, 0]);
    images.recordWrites(2);
    expect(reports.at(-1)).toMatchObject({ writes: 2, entries: 1, added: [], removed: [] });
    vi.advanceTimersByTime(3_600_000);
    images.present(job('nginx:1'));
    expect(sizes(images)).toEqual([1, 0]);
  });

  it('report the time from the oldest change in a write to its end', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    vi.advanceTimersByTime(3_000);
    images.present(job('nginx:2'));
    vi.advanceTimersByTime(500);
    images.render(config);
    vi.advanceTimersByTime(250);
    // This change is in the next write.
    images.missing(job('nginx:1'));
    vi.advanceTimersByTime(250);
    images.recordWrites(1);
    vi.advanceTimersByTime(5_000);
    images.render(config);
    images.recordWrites(2);
    expect(reports.map(({ lag }) => lag)).toEqual([4_000, 5_250]);
    vi.advanceTimersByTime(60_000);
    images.present(job('nginx:3'));
    vi.advanceTimersByTime(10);
    images.render(config);
    images.recordWrites(1);
    expect(reports.at(-1)?.lag).toBe(10);
  });

  it('move to the large part earlier when the recent part is full', () => {
    const { images } = started();
    for (let i = 0; i < 4_000; i += 1) images.present(job(`registry.test/team-${i}/app:1.${i}.0`));
    expect(sizes(images)).toEqual([4_000, 0]);
    images.present(job('nginx:1'));
    expect(sizes(images)).toEqual([4_000, 1]);
  });

  it('are removed from either part when the target does not have them', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    vi.advanceTimersByTime(3_600_000);
    images.present(job('nginx:1'));
    images.present(job('nginx:2'));
    expect(sizes(images)).toEqual([2, 0]);
    images.present(job('nginx:3'));
    images.missing(job('nginx:1'));
    images.missing(job('nginx:3'));
    images.missing(job('never:1'));
    expect(sizes(images)).toEqual([1, 0]);
    images.recordWrites(2);
    expect(reports.at(-1)?.removed).toEqual([job('nginx:1').reference.text, job('nginx:3').reference.text]);
  });

  it('are removed an hour after the last check that found them in the target', () => {
    const { images } = started();
    images.present(job('nginx:1'));
    images.present(job('nginx:2'));
    vi.advanceTimersByTime(3_500_000);
    images.present(job('nginx:1'));
    vi.advanceTimersByTime(200_000);
    expect(sizes(images)).toEqual([1, 0]);
  });

  it('are forgotten when another configuration gives them other names', () => {
    const { images } = started();
    images.present(job('nginx:1'));
    expect(sizes(images)).toEqual([0, 1]);
    expect(sizes(images, { ...config, logLevel: 'debug' })).toEqual([0, 1]);
    expect(sizes(images, configOf({ target: { ...ociTarget('other.test'), name: 'default' } }))).toEqual([0, 0]);
  });

  it('are forgotten when the table may only contain public images', () => {
    const { images } = started();
    images.present(job('nginx:1'));
    expect(sizes(images)).toEqual([0, 1]);
    const checked = { ...config, source: { ...config.source, accessCheck: 'pullSecrets' as const } };
    expect(sizes(images, checked)).toEqual([0, 0]);
    images.present(job('nginx:1'));
    expect(sizes(images, { ...checked, logLevel: 'debug' })).toEqual([0, 1]);
    expect(sizes(images)).toEqual([0, 1]);
  });

  it('are restored from the policies that contain them', () => {
    const { images } = started();
    const texts = [
      'nginx',
      'localhost:5000/x:1',
      'ghcr.io/a--b/c:2',
      `quay.io/a/b@sha256:${'a'.repeat(64)}`,
      'Intranet/a:1',
    ];
    for (const text of texts) images.present(job(text));
    const tables = images.render(config);
    const engine = 'mutatingadmissionpolicy';
    const policies = policiesForConfig(config, { engine, nameTarget: namingTarget, managed: true, tables });
    const other = started().images;
    const entries = policies.flatMap((policy) => readTable(policy, [target]));
    other.adopt('large', entries, config);
    expect(sizes(other)).toEqual([texts.length, 0]);
    for (const text of texts) other.missing(job(text));
    expect(sizes(other)).toEqual([0, 0]);
  });

  it('are forgotten by a replica that leads again, because others may have removed them since', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    images.render(config);
    images.recordWrites(2);
    images.forget();
    images.adopt('large', [entryOf('nginx:2')], config);
    expect(sizes(images)).toEqual([1, 0]);
    images.recordWrites(1);
    expect(reports.at(-1)).toMatchObject({ adopted: [name('nginx:2')], added: [], removed: [] });
  });

  it("are not taken from the previous leader's table when a target turned out to lack them before it was read", () => {
    const { images } = started();
    images.missing(job('nginx:1'));
    images.adopt('large', [entryOf('nginx:1'), entryOf('nginx:2')], config);
    images.missing(job('nginx:3'));
    images.present(job('nginx:3'));
    expect(sizes(images)).toEqual([1, 1]);
  });

  it.each([
    ['large', [1, 1]],
    ['recent', [0, 2]],
  ] as const)(
    "keep their place and age in the previous leader's %s part when a target turned out to have them before it was read",
    (part, expected) => {
      const { images, reports } = started();
      images.forget();
      images.present(job('nginx:1'));
      images.present(job('nginx:2'));
      images.adopt(part, [entryOf('nginx:1')], config);
      expect(sizes(images)).toEqual(expected);
      images.recordWrites(1);
      expect(reports).toMatchObject([{ adopted: [name('nginx:1')], added: [name('nginx:2')], removed: [] }]);
    },
  );

  it('are waited for by a deletion until the table of the previous leader was read and written', async () => {
    const { images } = started();
    const { signal } = new AbortController();
    images.forget();
    images.missing(job('nginx:1'));
    let isApplied = false;
    void images.untilApplied(signal).then(() => (isApplied = true));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isApplied).toBe(false);
    images.adopt('large', [entryOf('nginx:1')], config);
    expect(sizes(images)).toEqual([0, 0]);
    images.recordWrites(1);
    await vi.advanceTimersByTimeAsync(0);
    expect(isApplied).toBe(true);
  });

  it('stay while something uses them and no registry says whether they exist', () => {
    const { images } = started();
    for (const text of ['nginx:1', 'nginx:2']) images.present(job(text));
    for (let hours = 0; hours < 5; hours += 1) {
      vi.advanceTimersByTime(3_000_000);
      images.keep(job('nginx:1'));
      images.keep(job('never:1'));
      images.render(config);
    }
    expect(sizes(images)).toEqual([1, 0]);
  });

  it('are reported with the write that contains their change, also when an earlier write failed', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    images.present(job('nginx:2'));
    images.render(config);
    images.present(job('nginx:3'));
    images.recordWrites(1);
    expect(reports.at(-1)).toMatchObject({ added: [name('nginx:1'), name('nginx:2')], removed: [] });
    // This write fails.
    images.missing(job('nginx:1'));
    images.missing(job('nginx:2'));
    images.render(config);
    images.present(job('nginx:1'));
    images.render(config);
    images.recordWrites(1);
    expect(reports.at(-1)).toMatchObject({ added: [name('nginx:3'), name('nginx:1')], removed: [name('nginx:2')] });
  });

  it('are reported when a failed pass has written them and the next one writes nothing', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    images.render(config);
    images.recordWrites(0);
    expect(reports.map(({ added, writes }) => [added, writes])).toEqual([[[name('nginx:1')], 0]]);
  });

  it('are reported as removed when another configuration drops them', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    images.render(config);
    images.recordWrites(1);
    images.render({ ...config, source: { ...config.source, accessCheck: 'pullSecrets' } });
    images.recordWrites(1);
    expect(reports.at(-1)).toMatchObject({ added: [], removed: [name('nginx:1')] });
  });

  it('are reported as added only once the table has room for them', () => {
    const { images, reports } = started();
    const texts = Array.from({ length: 8_500 }, (_, index) => `registry.example.com/${'x'.repeat(120)}-${index}/app:1`);
    const write = (): void => {
      images.render(config);
      images.recordWrites(2);
    };
    for (const text of texts) images.present(job(text));
    write();
    const [first] = reports;
    const fitting = first?.entries ?? 0;
    expect(first?.omittedForSpace).toBeGreaterThan(2);
    expect(first?.added).toEqual(texts.slice(0, fitting).map(name));
    for (const text of texts.slice(0, 2)) images.missing(job(text));
    write();
    expect(reports.at(-1)).toMatchObject({
      added: texts.slice(fitting, fitting + 2).map(name),
      removed: texts.slice(0, 2).map(name),
    });
  });

  it('leave nothing in memory when they have come and gone', () => {
    const { images } = started();
    const held = (): number => entriesHeld(images);
    images.render(config);
    images.recordWrites(2);
    /** The times of the last minute's writes, and the empty tables. */
    const few = 20;
    for (let index = 0; index < 500; index += 1) {
      images.present(job(`nginx:${index}`));
      images.keep(job(`nginx:${index}`));
      if (index % 3 === 0) images.render(config);
      images.missing(job(`nginx:${index}`));
      images.missing(job(`never:${index}`));
      if (index % 100 === 0) {
        images.render(config);
        images.recordWrites(2);
      }
    }
    images.render(config);
    images.recordWrites(2);
    expect(held()).toBeLessThan(few);
    for (let index = 0; index < 500; index += 1) images.present(job(`nginx:${index}`));
    expect(held()).toBeGreaterThanOrEqual(500);
    images.forget();
    expect(held()).toBeLessThan(few);
  });

  it('are not read from variables that are not a table', () => {
    expect(readTable(undefined, [target])).toEqual([]);
    expect(readTable({ spec: { variables: [{ name: 'table0_0', expression: '{' }, {}] } }, [target])).toEqual([]);
    expect(
      readTable({ spec: { variables: [{ name: 'table7_0', expression: '{"a":{"b":" 1 "}}' }] } }, [target]),
    ).toEqual([]);
  });
});

describe('the table in objects', () => {
  const withTable = { ...config, policies: { ...config.policies, manage: true, table: true } };
  const objectsOf = (images: MirroredImages) => {
    const { objects, large, recent } = images.render(withTable);
    expect([large.size, recent.size]).toEqual([0, 0]);
    return { reload: objects?.reload, images: objects?.pages.map((page) => page.images) };
  };

  it('holds every image, and is read again when one is removed', () => {
    const { images, reports } = started();
    images.present(job('nginx:1'));
    images.present(job('nginx:2'));
    const before = objectsOf(images);
    expect(before.images).toEqual([
      { 'docker.io/library/nginx:1': name('nginx:1'), 'docker.io/library/nginx:2': name('nginx:2') },
    ]);
    images.recordWrites(3);
    expect(reports.at(-1)).toMatchObject({ entries: 2, writes: 3, omittedForSpace: 0 });
    images.present(job('nginx:3'));
    expect(objectsOf(images).reload).toBe(before.reload);
    images.recordWrites(1);
    images.missing(job('nginx:1'));
    const after = objectsOf(images);
    expect(after.reload).not.toBe(before.reload);
    expect(Object.keys(after.images?.[0] ?? {})).toEqual(['docker.io/library/nginx:2', 'docker.io/library/nginx:3']);
    images.recordWrites(2);
    expect(objectsOf(images).reload).toBe(after.reload);
  });

  it('is read again with a new image after ten minutes, and when an object was recreated', () => {
    const { images } = started();
    images.present(job('nginx:1'));
    const { reload } = objectsOf(images);
    images.recordWrites(1);
    vi.advanceTimersByTime(600_000);
    expect(objectsOf(images).reload).toBe(reload);
    images.present(job('nginx:2'));
    const later = objectsOf(images).reload;
    expect(later).not.toBe(reload);
    images.reload();
    expect(objectsOf(images).reload).not.toBe(later);
  });

  it('says that Pods with images that do not fit call the service', () => {
    const { images, reports, log } = started();
    for (let index = 0; index < 20_002; index += 1) images.present(job(`quay.io/app-${index}:1`));
    objectsOf(images);
    images.recordWrites(40);
    expect(reports.at(-1)).toMatchObject({ entries: 20_000, omittedForSpace: 2 });
    expect(log).toEqual(['2 mirrored images do not fit in the table, so Pods with these images call the service']);
  });

  it('keeps its images when the engine reads literals from now on, and the other way around', () => {
    const { images } = started();
    images.present(job('nginx:1'));
    expect(objectsOf(images).images).toEqual([{ 'docker.io/library/nginx:1': name('nginx:1') }]);
    const literals = {
      ...config,
      policies: { ...config.policies, manage: true, engine: 'mutatingadmissionpolicy' },
    } as const;
    expect(sizes(images, literals)).toEqual([0, 1]);
    expect(objectsOf(images).images).toEqual([{ 'docker.io/library/nginx:1': name('nginx:1') }]);
  });
});
