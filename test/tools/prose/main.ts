/**
 * Checks the English of docs, messages and comments against docs/style.md.
 *
 *     npm run prose                  Fails when a file has more findings than test/tools/prose/baseline.json allows.
 *     npm run prose -- FILE…         Prints every finding of these files.
 *     npm run prose -- --shrink      Lowers the baseline to the actual counts; it never grows.
 *     npm run prose -- --files REV   Prints every finding of the files added or renamed since a commit.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { aboveBaseline, countsOf, shrinkBaseline, type Baseline } from './baseline.js';
import { lintProse, type Finding } from './lint.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BASELINE = fileURLToPath(new URL('baseline.json', import.meta.url));
const LINTED = /\.(?:md|ts|js|mjs|ya?ml|tpl|tf|sh)$|dashboards\/.*\.json$/;
/** Files that are not linted: third-party or generated files, and the list of banned turns with its test. */
const EXCLUDED_FILES =
  /^(?:policies\/(?!README)|test\/fixtures\/|cdk8s\/examples\/.*imports\/|LICENSE|test\/tools\/prose\/banned-turns\.ts|test\/unit\/tools\/prose\.test\.ts)/;
const MAX_PRINTED = 60;

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === '--files')
    return print(await findingsOf(git('diff', '--name-only', '--diff-filter=AR', args[1] ?? '')));
  if (args.length > 0 && args[0] !== '--shrink') return print(await findingsOf(args));
  const findings = await findingsOf(git('ls-files'));
  const baseline = existsSync(BASELINE) ? (JSON.parse(readFileSync(BASELINE, 'utf8')) as Baseline) : countsOf(findings);
  if (args[0] === '--shrink') {
    writeFileSync(BASELINE, `${JSON.stringify(sorted(shrinkBaseline(baseline, findings)), null, 1)}\n`);
    return 0;
  }
  const over = aboveBaseline(baseline, findings);
  const code = print(over);
  const allowed = Object.values(baseline).flatMap((rules) => Object.values(rules));
  console.log(`prose: ${findings.length} findings, ${allowed.reduce((a, b) => a + b, 0)} allowed by the baseline`);
  return code;
}

async function findingsOf(paths: readonly string[]): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const path of paths.filter((name) => LINTED.test(name) && !EXCLUDED_FILES.test(name))) {
    if (existsSync(`${ROOT}${path}`)) findings.push(...(await lintProse(path, readFileSync(`${ROOT}${path}`, 'utf8'))));
  }
  return findings;
}

function print(findings: readonly Finding[]): number {
  for (const { path, line, rule, message } of findings.slice(0, MAX_PRINTED)) {
    console.log(`${path}:${line}: ${rule}: ${message}`);
  }
  if (findings.length > MAX_PRINTED) console.log(`… and ${findings.length - MAX_PRINTED} more`);
  return findings.length === 0 ? 0 : 1;
}

function git(...args: readonly string[]): string[] {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\n').filter(Boolean);
}

function sorted(baseline: Baseline): Baseline {
  return Object.fromEntries(Object.entries(baseline).sort(([a], [b]) => (a < b ? -1 : 1)));
}

process.exitCode = await main(process.argv.slice(2));
