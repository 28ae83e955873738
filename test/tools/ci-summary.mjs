/** Counts the steps of .ci/run and the tests of every tier: `ci-summary.mjs RESULTS`. */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/** Number of files that the summary lists for each tier, those with most CPU time first. */
const LISTED_FILES = 10;

/** Tests that may be skipped: our scripts cannot install the program they need. The summary lists them. */
const MAY_SKIP = ['test/integration/real/terraform-plan.test.ts'];

/** Maximum length of a failure message in the summary, in characters. */
const MAX_MESSAGE = 3_000;

/** Lists the failed tests of a tier with the beginning of their messages. The summary prints them last. */
function failuresOf({ testResults }) {
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = relative(process.cwd(), name);
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0 && message) return [`  ${file}: ${message.slice(0, MAX_MESSAGE)}`];
    return failed.map(({ fullName, failureMessages }) => {
      const [text = ''] = failureMessages;
      return `  ${file}: ${fullName}\n    ${text.slice(0, MAX_MESSAGE).replaceAll('\n', '\n    ')}`;
    });
  });
}

/** Returns the seconds of CPU by file of a tier, as test/setup/cpu-seconds.ts writes them. */
function cpuSecondsOf(tier) {
  const lines = files.includes(`${tier}.cpu`) ? read(`${tier}.cpu`).trim().split('\n') : [];
  const seconds = new Map();
  for (const line of lines) {
    const [, value, name] = /^(\S+) (.*)$/.exec(line) ?? [];
    seconds.set(name, (seconds.get(name) ?? 0) + Number(value));
  }
  return (name) => seconds.get(name) ?? 0;
}

const whole = (value) => String(Math.round(value)).padStart(5);

const [directory] = process.argv.slice(2);
const files = readdirSync(directory).sort();
const read = (file) => readFileSync(join(directory, file), 'utf8');
const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const steps = { passed: 0, failed: 0 };

console.log('step, exit code, seconds, of them seconds of CPU');
for (const file of files.filter((name) => name.endsWith('.step'))) {
  const [code, seconds, user, system] = read(file).trim().split(' ');
  console.log(
    `  ${basename(file, '.step').padEnd(14)} ${code.padStart(3)} ${whole(seconds)} ${whole(Number(user) + Number(system))}`,
  );
  steps[code === '0' ? 'passed' : 'failed'] += 1;
}
for (const file of files.filter((name) => name.endsWith('.json'))) {
  const result = JSON.parse(read(file));
  const excused = result.testResults
    .filter(({ name }) => MAY_SKIP.includes(relative(process.cwd(), name)))
    .flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === 'skipped' || status === 'pending'),
    );
  for (const { fullName } of excused) console.log(`NOT RUN, for want of its program: ${fullName}`);
  const skipped = result.numPendingTests + result.numTodoTests - excused.length;
  const seconds = ({ startTime, endTime }) => Math.round((endTime - startTime) / 1000);
  const cpu = cpuSecondsOf(basename(file, '.json'));
  const busiest = result.testResults.sort((a, b) => cpu(b.name) - cpu(a.name)).slice(0, LISTED_FILES);
  for (const one of busiest)
    console.log(`  ${whole(seconds(one))} s, of CPU ${whole(cpu(one.name))} s ${relative(process.cwd(), one.name)}`);
  console.log(`${file}: ${result.numPassedTests} passed, ${result.numFailedTests} failed, ${skipped} skipped`);
  failures.push(...failuresOf(result));
  total.passed += result.numPassedTests;
  // A test file that cannot be loaded reports no failed test, so it counts as one failure.
  total.failed += !result.success && result.numFailedTests === 0 ? 1 : result.numFailedTests;
  total.skipped += skipped;
}
if (failures.length > 0) console.log(['failed tests:', ...failures].join('\n'));
console.log(`steps: ${steps.passed} passed, ${steps.failed} failed; tests skipped: ${total.skipped}`);
// CI has every tool, so a skipped test is a failure.
const failed = total.failed + total.skipped + steps.failed;
console.log(`${total.passed + steps.passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
