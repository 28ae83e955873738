import { describe, expect, it } from 'vitest';
import { goToolsAvailable } from '../../tools/tool.js';
import { DocumentedTable, markdownTable } from './outcomes.js';
import { observeTableRows } from './table-rows.js';
import type { TableRows } from './table-rows.js';
import { TableWorld } from './table-world.js';
import { FORMER_KUBERNETES, KUBERNETES } from './versions.js';

const available = await goToolsAvailable("the API server's own table in two versions of Kubernetes");
const TABLE = new DocumentedTable('docs/engines.md', 'table outcomes');
const VERSIONS = [KUBERNETES, FORMER_KUBERNETES];
/** The suite writes docs/engines.md instead of comparing with it. */
const WRITE = process.env['WRITE_OUTCOMES'] !== undefined;

describe.skipIf(!available)("the API server's own table of images", () => {
  const seen: TableRows[] = [];

  it.each(VERSIONS)('decides the cases of docs/engines.md in Kubernetes %s', async (version) => {
    const world = await TableWorld.start(version);
    try {
      const { body } = await world.plane.api.send('GET', '/version');
      expect(body).toMatchObject({ gitVersion: `v${version}` });
      seen.push(await observeTableRows(world));
    } finally {
      await world.stop();
    }
  });

  it('does this as docs/engines.md shows', async () => {
    const names = Object.keys(seen[0] ?? {});
    expect(names.length).toBeGreaterThan(12);
    const rows = names.map((name) => [name, ...VERSIONS.map((_, index) => seen[index]?.[name] ?? '')]);
    const table = await markdownTable([['', ...VERSIONS.map((version) => `Kubernetes ${version}`)], ...rows]);
    if (WRITE) await TABLE.write(table);
    expect(await TABLE.text()).toBe(table);
  });
});
