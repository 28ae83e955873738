/** Adds up the tests of every tier and the steps of .ci/run: `ci-summary.mjs RESULTS STEPS_PASSED STEPS_FAILED`. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [directory, stepsPassed, stepsFailed] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of readdirSync(directory).sort()) {
  const result = JSON.parse(readFileSync(join(directory, file), 'utf8'));
  console.log(
    `${file}: ${result.numPassedTests} passed, ${result.numFailedTests} failed, ${result.numPendingTests + result.numTodoTests} skipped`,
  );
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  skipped += result.numPendingTests + result.numTodoTests;
  // A file that could not be loaded counts no test of its own.
  if (!result.success && result.numFailedTests === 0) failed += 1;
}
console.log(`steps: ${stepsPassed} passed, ${stepsFailed} failed; tests skipped: ${skipped}`);
// In CI every tool is there or the run is red: nothing may be skipped.
if (skipped > 0) failed += skipped;
console.log(`${passed + Number(stepsPassed)} passed, ${failed + Number(stepsFailed)} failed`);
process.exit(failed + Number(stepsFailed) === 0 ? 0 : 1);
