import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { admissionRequest } from '../unit/decide/arbitraries.js';
import { checkExplained, checkRequest, everyRules } from '../unit/decide/invariants.js';
import type { Owners } from '../unit/decide/invariants.js';

/**
 * 100,000 generated Pods through parse → name → decide, and each Pod again with its images swapped. FUZZ_SEED repeats a
 * run, FUZZ_PODS makes it shorter or longer.
 */
const runs = Number(process.env['FUZZ_PODS'] ?? 100_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fffffff));

describe(`${runs} Pods, FUZZ_SEED=${seed}`, () => {
  it('never crash the decision, stay valid, and do not change in a second pass', () => {
    process.stderr.write(`Pods: FUZZ_SEED=${seed}\n`);
    // Targets of different configurations may use the same name for different sources.
    const owners = everyRules.map((): Owners => new Map());
    const count = { pods: 0, refused: 0, swapped: 0 };
    fc.assert(
      fc.property(admissionRequest, (request) => {
        const which = count.pods++ % everyRules.length;
        const rules = everyRules[which];
        const known = owners[which];
        if (rules === undefined || known === undefined) return;
        const text = JSON.stringify(request);
        const { refused, swapped } = checkRequest(rules, text, known);
        if (refused) count.refused++;
        count.swapped += swapped;
        if (count.pods % 10 === 0) checkExplained(rules, text);
      }),
      { numRuns: runs, seed },
    );
    process.stderr.write(`Pods: ${count.pods}, ${count.refused} refused, ${count.swapped} images swapped\n`);
    expect(count.pods).toBeGreaterThanOrEqual(runs);
    expect(count.swapped).toBeGreaterThan(runs / 2);
    expect(count.refused).toBeGreaterThan(runs / 100);
  });
});
