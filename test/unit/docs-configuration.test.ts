import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeKeys, keyTable } from '../../extension-service/src/config/reference.js';

describe('docs/configuration.md', () => {
  it('has every key of the schema with its type, default, meaning and variable', () => {
    const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    expect(page).toContain(keyTable());
  });

  it('has a description for each key', () => {
    expect(describeKeys().filter(({ about }) => about.trim() === '')).toEqual([]);
  });
});
