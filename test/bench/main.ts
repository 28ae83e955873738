/**
 * `npm run bench` runs every benchmark, one after another; `npm run bench -- copy filters` runs only the named ones.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ALL = [
  'filters',
  'decide',
  'admission',
  'aws',
  'copy',
  'cut-connections',
  'gc',
  'http-clients',
  'start',
  'synth',
  'engines',
  'admission-table',
  'kyverno-table',
  'table-lag',
  'table-size',
  'cluster',
  'hostile-namespace',
  'queue',
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !ALL.includes(name));
if (unknown.length > 0) {
  console.error(`there is no benchmark ${unknown.join(', ')}: give some of ${ALL.join(', ')}`);
  process.exit(2);
}
for (const name of wanted.length > 0 ? wanted : ALL) {
  console.log(`\n== ${name}`);
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  execFileSync(process.execPath, ['--import', 'tsx', file], { stdio: 'inherit' });
}
