import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { importCircles, importGraph, mutualFolders } from './import-graph.js';

const SOURCES = fileURLToPath(new URL('../../extension-service/src', import.meta.url));

describe("the service's sources", () => {
  const graph = importGraph(SOURCES);

  it('have no two first-level folders that import each other', () => {
    expect(graph.size).toBeGreaterThan(300);
    expect(mutualFolders(graph)).toEqual([]);
  });

  it('have no files that import each other in a circle, types included', () => {
    expect(importCircles(graph)).toEqual([]);
  });
});

describe('the import graph', () => {
  it('finds mutual folders and circles through values, types, re-exports and dynamic imports', () => {
    const folder = mkdtempSync(join(tmpdir(), 'image-swapper-'));
    const write = (path: string, text: string): void => {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    try {
      write('a/one.ts', `import { two } from '../b/two.js';\nexport const one = two;\n`);
      write('b/two.ts', `export { three as two } from './three.js';\n`);
      write('b/three.ts', `import type { Four } from './four.js';\nexport const three: Four = 3;\n`);
      write('b/four.ts', `export type Four = number;\nexport const late = () => import('../a/one.js');\n`);
      write('c/apart.ts', `import { one } from '../a/one.js';\n// import '../a/none.js';\nexport default one;\n`);
      const graph = importGraph(folder);
      expect(mutualFolders(graph)).toEqual(['a <-> b']);
      expect(importCircles(graph)).toEqual(['a/one.ts b/four.ts b/three.ts b/two.ts']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
