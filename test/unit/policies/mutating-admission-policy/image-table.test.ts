import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  imageTable,
  TABLE_LIMITS,
} from '../../../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import type {
  ImageTable,
  TableEntry,
} from '../../../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import { parseReference, referenceName } from '../../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../../extension-service/src/core/naming/name.js';
import type { NamingTarget } from '../../../../extension-service/src/core/naming/target.js';
import { legalReferenceText } from '../../image/arbitraries.js';

const naming: NamingTarget = {
  ...{ name: 'default', host: 'mirror.example.com:5000', path: 'm', aliases: [] },
  ...{ repositoryLimit: 255, separators: 'single', wholeRegistry: false },
};
const BASES = new Map([['default', 'mirror.example.com:5000/m/']]);

function entry(text: string): TableEntry {
  const source = parseReference(text);
  const { registry, repository } = targetReference(naming, source);
  return { source, target: 'default', registry, repository };
}

type Literal = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Looks up a reference as the policy's expressions do. The CEL literals of the table are also valid JSON. */
function lookUp(table: ImageTable, text: string): string | undefined {
  const source = parseReference(text);
  const repository = `${source.registry}/${source.repository}`;
  const slash = repository.lastIndexOf('/');
  const [directory, name] = [repository.slice(0, slash), repository.slice(slash + 1)];
  const { chunks, renamed } = table.targets.get('default') ?? { chunks: [], renamed: [] };
  const shown = referenceName(source);
  const end = `${source.digest === undefined ? ':' : '@'}${shown}`;
  for (const chunk of chunks) {
    const literal = JSON.parse(chunk) as Literal;
    if (literal[directory]?.[name]?.includes(` ${shown} `) !== true) continue;
    return `${literal[directory][''] ?? `mirror.example.com:5000/m/${directory}`}/${name}${end}`;
  }
  for (const chunk of renamed) {
    const literal = JSON.parse(chunk) as Literal;
    if (literal[repository]?.[' ']?.includes(` ${shown} `) === true) return `${literal[repository]['']}${end}`;
  }
  return undefined;
}

describe('the table of images', () => {
  it("gives every entry the service's name, and no name to other images", () => {
    fc.assert(
      fc.property(fc.uniqueArray(legalReferenceText, { maxLength: 60 }), (texts) => {
        const half = texts.slice(0, texts.length / 2);
        const table = imageTable(half.map(entry), BASES);
        const known = new Set(half.map((text) => targetReference(naming, parseReference(text)).text));
        expect(table.unquotable + table.omittedForSpace).toBe(0);
        for (const text of texts) {
          const name = targetReference(naming, parseReference(text)).text;
          expect(lookUp(table, text)).toBe(known.has(name) ? name : undefined);
        }
      }),
    );
  });

  it('is the same text for any order of its entries', () => {
    const texts = ['nginx', 'nginx:1', 'quay.io/a/b:2', 'quay.io/a/c:3', 'localhost:5000/x', 'ghcr.io/a--b/c:1'];
    const table = imageTable(texts.map(entry), BASES);
    expect(imageTable(texts.reverse().map(entry), BASES).targets).toEqual(table.targets);
    expect(table.size).toBe(6);
  });

  it('uses about 30 code points per image of an ordinary cluster, in literals below the limit', () => {
    const texts = Array.from(
      { length: 20_000 },
      (_, i) => `registry${i % 7}.example.com/team-${i % 97}/service-${i % 1999}:1.${i}.0`,
    );
    const table = imageTable(texts.map(entry), BASES);
    const chunks = table.targets.get('default')?.chunks ?? [];
    expect(table).toMatchObject({ size: 20_000, omittedForSpace: 0 });
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(TABLE_LIMITS.chunk);
    expect(chunks.join('').length / 20_000).toBeLessThan(33);
    // The counted length is at least the actual length.
    expect(chunks.join('').length).toBeLessThanOrEqual(table.length);
    for (const text of texts.slice(0, 50))
      expect(lookUp(table, text)).toBe(targetReference(naming, parseReference(text)).text);
  });

  it('splits the tags of a repository that are too long for one literal', () => {
    const texts = Array.from({ length: 20_000 }, (_, i) => `ci.example.com/app:build-${i}`);
    const table = imageTable(texts.map(entry), BASES);
    const chunks = table.targets.get('default')?.chunks ?? [];
    expect(chunks.length).toBeGreaterThan(1);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(TABLE_LIMITS.chunk);
    expect(lookUp(table, texts[0] ?? '')).toBeDefined();
    expect(lookUp(table, texts.at(-1) ?? '')).toBeDefined();
  });

  it('keeps the first entries when the space is full, and counts the others', () => {
    const texts = Array.from({ length: 100 }, (_, i) => `ci.example.com/app-${i}:1`);
    const table = imageTable(texts.map(entry), BASES, 1_000);
    expect(table.size + table.omittedForSpace).toBe(100);
    expect(table.length).toBeLessThanOrEqual(1_000);
    expect(lookUp(table, texts[0] ?? '')).toBeDefined();
    expect(lookUp(table, texts.at(-1) ?? '')).toBeUndefined();
  });

  it('omits and counts entries that no literal should contain', () => {
    const good = entry('nginx');
    const hostile = ['a"b', 'a\\b', 'a b', 'a\nb', 'a{{b'].map((tag) => ({ ...good, source: { ...good.source, tag } }));
    const table = imageTable([...hostile, good], BASES);
    expect(table).toMatchObject({ size: 1, unquotable: 5 });
    expect([...table.targets.values()].flatMap(({ chunks }) => chunks)).toEqual([
      '{"docker.io/library":{"nginx":" latest "}}',
    ]);
  });
});
