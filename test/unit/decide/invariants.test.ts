import fc from 'fast-check';
import { expect, it } from 'vitest';
import { admissionRequest } from './arbitraries.js';
import { checkExplained, checkRequest, everyRules } from './invariants.js';
import type { Owners } from './invariants.js';

/** test/fuzz/pods.test.ts runs the same check a hundred times as long. */
it('deciding keeps the invariants and explaining agrees, for any Pod and configuration', () => {
  const owners = everyRules.map((): Owners => new Map());
  let swapped = 0;
  fc.assert(
    fc.property(admissionRequest, fc.nat(everyRules.length - 1), (request, which) => {
      const rules = everyRules[which];
      const known = owners[which];
      if (rules === undefined || known === undefined) return;
      const text = JSON.stringify(request);
      swapped += checkRequest(rules, text, known).swapped;
      checkExplained(rules, text);
    }),
    { numRuns: 1_000 },
  );
  expect(swapped).toBeGreaterThan(500);
});
