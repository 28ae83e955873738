import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ENGINE_NAMES } from '../../extension-service/src/core/engines/names.js';

/**
 * The properties of an engine stand in its folder of `core/engines`; the rest reads the table. As `grep -rnE` finds
 * them, in the sources of the service, of the constructs and of the chart:
 * `(===|!==|case) 'ENGINE'` and `(eq|ne|has|list) … "ENGINE"`.
 */
const MAX_COMPARISONS = 9;
const FOLDERS = ['extension-service/src', 'cdk8s/src', 'extension-service/chart/templates'];

const names = `(?:${ENGINE_NAMES.join('|')})`;
const COMPARISONS = [
  new RegExp(`(?:[!=]==? ?|\\bcase )['"]${names}['"]`, 'g'),
  new RegExp(`['"]${names}['"] ?[!=]==?`, 'g'),
  new RegExp(`\\b(?:includes|has)\\(['"]${names}['"]\\)`, 'g'),
  // Helm: {{ if eq $engine "kyverno" }}, {{ has $engine (list "kyverno") }}.
  new RegExp(`\\{\\{[^}]*\\b(?:eq|ne|has|list|hasKey|dict)\\b[^}]*"${names}"[^}]*\\}\\}`, 'g'),
];

it('compares the names of engines at most nine times', () => {
  const root = new URL('../../', import.meta.url).pathname;
  const found = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      // A kind of gate is called webhook as well.
      .filter((file) => /\.(?:ts|tpl|yaml|txt)$/.test(file) && !/(?:^|\/)gate\//.test(file))
      .flatMap((file) => {
        const text = readFileSync(join(root, folder, file), 'utf8');
        return COMPARISONS.flatMap((pattern) => text.match(pattern) ?? []).map((what) => `${folder}/${file}: ${what}`);
      }),
  );
  expect(found.length, found.join('\n')).toBeLessThanOrEqual(MAX_COMPARISONS);
});
