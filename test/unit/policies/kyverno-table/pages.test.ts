import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TABLE_PAGE_LIMITS } from '../../../../extension-service/src/core/engines/kyverno-table/names.js';
import {
  entriesOf,
  readPage,
  sourceKey,
  TablePages,
} from '../../../../extension-service/src/core/engines/kyverno-table/pages.js';
import type { NamedEntry } from '../../../../extension-service/src/core/engines/kyverno-table/pages.js';
import { parseReference } from '../../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../../extension-service/src/core/naming/name.js';
import { namingTarget } from '../../../../extension-service/src/kinds/registry-naming.js';
import { ociTarget } from '../../decide/rules-of.js';

const naming = { ...namingTarget(ociTarget('mirror.test')), name: 'main' };

function entry(text: string, target = 'main'): NamedEntry {
  const source = parseReference(text);
  const { registry, repository, text: named } = targetReference(naming, source);
  return { source, target, registry, repository, text: target === 'main' ? named : `${target}.test/${named}` };
}

const many = (count: number, from = 0): readonly NamedEntry[] =>
  Array.from({ length: count }, (_, index) => entry(`quay.io/app-${from + index}:1`));

describe('the pages of the table', () => {
  it('always have a first one, which shows whether the cluster has their kind', () => {
    expect(new TablePages().fit([], 'main').pages).toEqual([{ target: 'main', images: {} }]);
  });

  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['quay.io/a/b:2', 'quay.io/a/b:2'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    [`nginx:1@sha256:${'a'.repeat(64)}`, `docker.io/library/nginx@sha256:${'a'.repeat(64)}`],
  ])('name %s by its normalized reference', (text, key) => {
    const { pages } = new TablePages().fit([entry(text)], 'main');
    expect(pages).toEqual([{ target: 'main', images: { [key]: entry(text).text } }]);
  });

  it('hold 500 images of one target each', () => {
    const fitted = new TablePages().fit([...many(1_001), entry('nginx:1', 'other')], 'main');
    const sizes = fitted.pages.map(({ target, images }) => [target, Object.keys(images).length]);
    expect(sizes).toEqual([
      ['main', 500],
      ['main', 500],
      ['main', 1],
      ['other', 1],
    ]);
    expect(fitted.size).toBe(1_002);
  });

  it('change only where an image was added or removed', () => {
    const pages = new TablePages();
    const entries = many(1_200);
    const before = pages.fit(entries, 'main').pages;
    const added = pages.fit([...entries, entry('nginx:1')], 'main').pages;
    expect(added.map((page, index) => page === before[index])).toEqual([true, true, false]);
    const removed = pages.fit([...entries.slice(1), entry('nginx:1')], 'main').pages;
    expect(removed.map((page, index) => page === added[index])).toEqual([false, true, true]);
    // The room of the removed image is used again.
    const again = pages.fit([...entries.slice(1), entry('nginx:1'), entry('nginx:2')], 'main').pages;
    expect(again.map((page, index) => page === removed[index])).toEqual([false, true, true]);
  });

  it('keep the first images when there is no more room, and say how many do not fit', () => {
    const { entries: size, pages: count } = TABLE_PAGE_LIMITS;
    const pages = new TablePages();
    const entries = many(size * count + 3);
    const full = pages.fit(entries, 'main');
    expect([full.size, full.omittedForSpace, full.pages.length]).toEqual([size * count, 3, count]);
    expect(full.omitted).toEqual(entries.slice(-3).map(({ text }) => text));
    expect(pages.fit(entries.slice(2), 'main')).toMatchObject({ size: size * count, omittedForSpace: 1 });
  });

  it('never exceed the length that etcd stores', () => {
    const long = Array.from({ length: 600 }, (_, index) => {
      const { source, ...rest } = entry(`quay.io/app-${index}:1`);
      const repository = `${'a'.repeat(900)}-${index}`;
      return { ...rest, source: { ...source, repository }, text: `mirror.test/${repository}` };
    });
    const { pages, size } = new TablePages().fit(long, 'main');
    expect(size).toBe(600);
    for (const page of pages) expect(JSON.stringify(page).length).toBeLessThan(TABLE_PAGE_LIMITS.characters * 1.1);
  });

  it('do not hold a name that the policy would not accept', () => {
    const odd = { ...entry('nginx:1'), text: 'mirror.test/a b:1' };
    expect(new TablePages().fit([odd], 'main')).toMatchObject({ size: 0, unquotable: 1, omitted: [odd.text] });
  });

  it('continue with the pages of the previous leader', () => {
    const entries = many(700);
    const [first, second] = new TablePages().fit(entries, 'main').pages;
    const next = new TablePages();
    for (const page of [first, second]) {
      const read = entriesOf(readPage({ spec: { ...page, hash: 'h' } }, 'h').images, naming);
      next.adopt(
        'main',
        read.map((one) => ({ ...one, text: targetReference(naming, one.source).text })),
      );
    }
    expect(next.fit(entries, 'main').pages).toEqual([first, second]);
  });

  it.each<readonly [string, unknown]>([
    ['another hash', { spec: { target: 'main', hash: 'other', images: { 'docker.io/library/a:1': 'x' } } }],
    ['no spec', {}],
    ['images that are not a map', { spec: { target: 'main', hash: 'h', images: 'docker.io/library/a:1' } }],
    ['images that are not texts', { spec: { target: 'main', hash: 'h', images: { 'docker.io/library/a:1': 1 } } }],
  ])('ignore the images of an object with %s', (_, object) => {
    expect(readPage(object, 'h').images).toEqual({});
  });

  it('read back every source that they contain, and no other', () => {
    const label = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    const host = fc
      .tuple(label, fc.option(fc.nat(65_535)))
      .map(([name, port]) => `${name}.test${port === null ? '' : `:${port}`}`);
    const shown = fc.oneof(
      fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/).map((tag) => `:${tag}`),
      fc.stringMatching(/^[a-f0-9]{64}$/).map((hex) => `@sha256:${hex}`),
    );
    fc.assert(
      fc.property(host, fc.array(label, { minLength: 1, maxLength: 4 }), shown, (registry, path, rest) => {
        const source = parseReference(`${registry}/${path.join('/')}${rest}`);
        const [read] = entriesOf({ [sourceKey(source)]: 'anything' }, naming);
        expect(read?.source).toEqual(source);
      }),
    );
    expect(entriesOf({ nonsense: 'x', 'a/b': 'x', ':1': 'x' }, naming)).toEqual([]);
  });
});
