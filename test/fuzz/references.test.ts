import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidReferenceError, parseReference } from '../../extension-service/src/core/image/reference.js';
import type { Reference } from '../../extension-service/src/core/image/reference.js';
import { hostileReferenceText, legalReferenceText } from '../unit/image/arbitraries.js';
import { checkNaming } from '../unit/naming/invariants.js';
import { everyTarget } from '../unit/naming/targets.js';

/**
 * 1,000,000 generated references through parse → name. FUZZ_SEED repeats a run, FUZZ_RUNS makes it shorter or longer.
 */
const runs = Number(process.env['FUZZ_RUNS'] ?? 1_000_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fffffff));

describe(`${runs} references, FUZZ_SEED=${seed}`, () => {
  it('never crash the parser, and keep the invariants of naming in every target', () => {
    process.stderr.write(`references: FUZZ_SEED=${seed}\n`);
    // Maps the hash of a name to the hash of its owner. The texts of a million names would not fit into memory.
    const owners = new Map<bigint, bigint>();
    const count = { legal: 0, refused: 0, texts: 0 };
    const generated = fc.oneof(
      { weight: 3, arbitrary: legalReferenceText },
      { weight: 2, arbitrary: hostileReferenceText },
    );
    fc.assert(
      fc.property(generated, (text) => {
        const target = everyTarget[count.texts++ % everyTarget.length];
        const source = parsed(text);
        if (source === undefined || target === undefined) {
          count.refused++;
          return;
        }
        count.legal++;
        const { registry, repository } = checkNaming(target, everyTarget, source);
        const name = digest(`${registry}/${repository}`);
        const owner = digest(`${target.name} ${source.registry}/${source.repository}`);
        const other = owners.get(name);
        if (other !== undefined && other !== owner)
          expect.fail(`${registry}/${repository} is also another source's name`);
        owners.set(name, owner);
      }),
      { numRuns: runs, seed },
    );
    process.stderr.write(`references: ${count.legal} legal, ${count.refused} refused, ${owners.size} names\n`);
    expect(count.legal).toBeGreaterThan(runs / 3);
    expect(count.refused).toBeGreaterThan(runs / 10);
  });
});

function parsed(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}

/** Returns a hash of 64 bits. The chance that two of a million texts have the same hash is one in thirty million. */
function digest(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64BE();
}
