import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { registryKinds } from '../../tools/cdk8s/registry-kinds.js';

it('knows the kinds of registries as npm run generate writes them', () => {
  const file = new URL('../../../cdk8s/src/registry-kinds.ts', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(registryKinds());
});
