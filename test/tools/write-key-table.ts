import { readFileSync, writeFileSync } from 'node:fs';
import { keyTable } from '../../extension-service/src/config/reference.js';

/** Writes the table of all keys into docs/configuration.md; a test checks that it is current. */
const page = new URL('../../docs/configuration.md', import.meta.url);
const text = readFileSync(page, 'utf8');
const start = text.indexOf('| key | type |');
const end = text.indexOf('\n\n', start);
if (start < 0) throw new Error('docs/configuration.md has no table of keys');
writeFileSync(page, text.slice(0, start) + keyTable().trimEnd() + (end < 0 ? '\n' : text.slice(end)));
