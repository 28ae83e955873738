import { readFileSync, writeFileSync } from 'node:fs';
import { metricTable } from './metric-table.js';

/** Writes the table of all metrics into docs/operations.md; a test checks that it is current. */
const page = new URL('../../docs/operations.md', import.meta.url);
const text = readFileSync(page, 'utf8');
const start = text.indexOf('| metric | type |');
if (start < 0) throw new Error('docs/operations.md has no table of metrics');
writeFileSync(page, text.slice(0, start) + (await metricTable()) + text.slice(text.indexOf('\n\n', start)));
