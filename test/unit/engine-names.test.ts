import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ENGINE_NAMES } from '../../extension-service/src/core/engines/names.js';

/**
 * The properties of an engine belong in its folder of `core/engines`; other code reads them from the table. The limit
 * applies to comparisons with engine names in the sources of the service, the constructs and the chart:
 * `(===|!==|case) 'ENGINE'` and `(eq|ne|has|list) … "ENGINE"`.
 */
const MAX_COMPARISONS = 9;
const FOLDERS = ['extension-service/src', 'cdk8s/src', 'extension-service/chart/templates'];

const names = `(?:${ENGINE_NAMES.join('|')})`;
const COMPARISONS = [
  new RegExp(`(?:[!=]==? ?|\\bcase )['"]${names}['"]`, 'g'),
  new RegExp(`['"]${names}['"] ?[!=]==?`, 'g'),
  new RegExp(`\\b(?:includes|has)\\(['"]${names}['"]\\)`, 'g'),
  // Helm templates: {{ if eq $engine "kyverno" }}, {{ has $engine (list "kyverno") }}.
  new RegExp(`\\{\\{[^}]*\\b(?:eq|ne|has|list|hasKey|dict)\\b[^}]*"${names}"[^}]*\\}\\}`, 'g'),
];

it('compares the names of engines at most nine times', () => {
  const root = new URL('../../', import.meta.url).pathname;
  const found = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      // One kind of gate is also called "webhook".
      .filter((file) => /\.(?:ts|tpl|yaml|txt)$/.test(file) && !/(?:^|\/)gate\//.test(file))
      .flatMap((file) => {
        const text = readFileSync(join(root, folder, file), 'utf8');
        return COMPARISONS.flatMap((pattern) => text.match(pattern) ?? []).map((what) => `${folder}/${file}: ${what}`);
      }),
  );
  expect(found.length, found.join('\n')).toBeLessThanOrEqual(MAX_COMPARISONS);
});
