import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goToolsAvailable } from '../tools/tool.js';
import { outcomeTable, type Row } from './outcomes.js';
import { REGISTRY_KINDS, targetsOf } from './registry-kinds.js';
import type { RegistryKind } from './registry-process.js';
import { ShapeCopies, type FilledRegistry } from './shape-copies.js';
import { SHAPES, type Shape } from './shapes.js';

/**
 * The built bundle's `mirror` copies every shape from every registry to every registry. The test reads the copies byte
 * for byte over plain HTTP. For the first source registry, containerd also fetches from both registries. The table of
 * docs/registries.md has the results of this run: `WRITE_REGISTRIES=1 npx vitest run --project matrix` writes it.
 */
const PAGE = fileURLToPath(new URL('../../docs/registries.md', import.meta.url));
const [BEGIN, END] = ['<!-- matrix: begin -->\n', '<!-- matrix: end -->'];
const available = await goToolsAvailable('the matrix of real registries');
/**
 * A file with the rows of earlier runs. With it, pairs can run one by one (`-t`), and the last run writes the table.
 */
const KEPT = process.env['MATRIX_ROWS'];
/** Shapes to copy, by name. */
const ONLY = new RegExp(process.env['MATRIX_SHAPES'] ?? '');
/** Maximum number of blobs of a shape. A slow registry would need many minutes for more shapes. */
const MAX_SLOW_BLOBS = 50;
const rows: Row[] = [];

function shapesOf(...kinds: readonly RegistryKind[]): readonly Shape[] {
  const isSlow = kinds.some((kind) => kind.isSlow === true);
  return SHAPES.filter(({ name, blobs }) => ONLY.test(name) && (!isSlow || blobs.size <= MAX_SLOW_BLOBS));
}

/** The rows of this run and, if there is such a file, of earlier runs. */
async function allRows(): Promise<readonly Row[]> {
  const kept =
    KEPT === undefined
      ? []
      : await readFile(KEPT, 'utf8').then(
          (text) => JSON.parse(text) as Row[],
          () => [],
        );
  const all = [...kept, ...rows].map((row) => [`${row.shape} ${row.source} ${row.target}`, row] as const);
  const order = SHAPES.map(({ name }) => name);
  const merged = [...new Map(all).values()].sort((one, other) => order.indexOf(one.shape) - order.indexOf(other.shape));
  if (KEPT !== undefined) await writeFile(KEPT, JSON.stringify(merged));
  return merged;
}

let copies: ShapeCopies;

beforeAll(async () => {
  if (available) copies = await ShapeCopies.start();
});

afterAll(async () => {
  if (available) await copies.stop();
});

describe.skipIf(!available)('every shape that registries store', () => {
  describe.each(REGISTRY_KINDS)('from $name', (from) => {
    let source: FilledRegistry;

    beforeAll(async () => {
      source = await copies.fill(from, shapesOf(from), from.name === REGISTRY_KINDS[0]?.name);
    });
    afterAll(() => source.registry.stop());

    it.each(targetsOf(from))('is copied unchanged to $name, or the refusal names the reason', async (into) => {
      const found = await copies.copy(source, into, shapesOf(from, into));
      rows.push(...found);
      await allRows();
      expect(found.filter(({ outcome }) => outcome.kind === 'fault')).toEqual([]);
    });
  });

  it('is the table in docs/registries.md', async () => {
    const kinds = REGISTRY_KINDS.map(({ name }) => name);
    const page = await readFile(PAGE, 'utf8');
    const [before = '', rest = ''] = page.split(BEGIN);
    const [table = '', after = ''] = rest.split(END);
    const seen = `\n${outcomeTable(await allRows(), kinds)}\n`;
    if (process.env['WRITE_REGISTRIES'] !== undefined) await writeFile(PAGE, `${before}${BEGIN}${seen}${END}${after}`);
    else expect(normalized(table)).toBe(normalized(seen));
  });
});

/** Tables are formatted when they are committed. */
function normalized(table: string): string {
  return table.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---').trim();
}
