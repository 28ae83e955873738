import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { registryKinds } from '../../tools/cdk8s/registry-kinds.js';

it('has the kinds of registries that npm run generate writes', () => {
  const file = new URL('../../../cdk8s/src/registry-kinds.ts', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(registryKinds());
});
