import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QUICK_KINDS } from '../../matrix/registry-kinds.js';
import { ShapeCopies } from '../../matrix/shape-copies.js';
import { SHAPES } from '../../matrix/shapes.js';
import { goToolsAvailable } from '../../tools/tool.js';

/**
 * Every shape of docs/registries.md, with each quick registry once as the source and once as the target; `test:matrix`
 * runs all pairs. containerd fetches each shape from the source and from the mirror.
 */
const available = await goToolsAvailable('every shape between real registries');
const PAGE = fileURLToPath(new URL('../../../docs/registries.md', import.meta.url));
/** More than this many shapes arrive between any two registries. */
const MIN_SAME = 25;
const RING = QUICK_KINDS.map((kind, index) => [kind, QUICK_KINDS[(index + 1) % QUICK_KINDS.length] ?? kind] as const);

describe.skipIf(!available)('every shape', () => {
  let copies: ShapeCopies;
  beforeAll(async () => {
    copies = await ShapeCopies.start();
  });
  afterAll(() => copies.stop());

  it.each(RING.map(([from, into]) => [from.name, into.name, from, into] as const))(
    'of %s is copied unchanged to %s, or docs/registries.md has the reason',
    async (_, __, from, into) => {
      const source = await copies.fill(from, SHAPES, true);
      try {
        const rows = await copies.copy(source, into, SHAPES);
        expect(rows.filter(({ outcome }) => outcome.kind === 'fault')).toEqual([]);
        expect(rows.filter(({ outcome }) => outcome.kind === 'same').length).toBeGreaterThanOrEqual(MIN_SAME);
        const page = await readFile(PAGE, 'utf8');
        for (const { outcome } of rows) if ('why' in outcome) expect(page).toContain(outcome.why);
      } finally {
        await source.registry.stop();
      }
    },
  );
});
