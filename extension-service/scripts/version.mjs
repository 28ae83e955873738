/**
 * One version for everything that is released. `node scripts/version.mjs` checks that all places have it (exit 1 and a
 * line for each that differs); `node scripts/version.mjs 1.2.3` writes it into them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/** Where the version is written, and the text around it; the first group is the version. */
const places = [
  { file: 'package.json', pattern: /^ {2}"version": "([^"]+)"/m },
  { file: 'cdk8s/package.json', pattern: /^ {2}"version": "([^"]+)"/m },
  { file: 'extension-service/package.json', pattern: /^ {2}"version": "([^"]+)"/m },
  { file: 'extension-service/src/version.ts', pattern: /VERSION = '([^']+)'/ },
  { file: 'package-lock.json', pattern: /^ {2}"version": "([^"]+)"/m },
  { file: 'package-lock.json', pattern: /^ {4}"": \{\n(?: {6}.*\n)*? {6}"version": "([^"]+)"/m },
  { file: 'package-lock.json', pattern: /^ {4}"cdk8s": \{\n(?: {6}.*\n)*? {6}"version": "([^"]+)"/m },
  { file: 'package-lock.json', pattern: /^ {4}"extension-service": \{\n(?: {6}.*\n)*? {6}"version": "([^"]+)"/m },
  { file: 'extension-service/helm-plugin/plugin.yaml', pattern: /^version: (\S+)$/m, optional: true },
  { file: 'extension-service/chart/Chart.yaml', pattern: /^version: "?([^"\s]+)"?/m, optional: true },
  { file: 'extension-service/chart/Chart.yaml', pattern: /^appVersion: "?([^"\s]+)"?/m, optional: true },
];

/** The version that the root's package.json says. */
export function packageVersion(root = repository) {
  return JSON.parse(readFileSync(`${root}package.json`, 'utf8')).version;
}

/** Messages about each place that says another version than the root's package.json; none when all agree. */
export function versionProblems(root = repository) {
  const wanted = packageVersion(root);
  const problems = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/.test(wanted)
    ? []
    : [`package.json: ${wanted} is not a version`];
  for (const { file, pattern, optional } of places) {
    if (optional && !existsSync(root + file)) continue;
    const found = pattern.exec(readFileSync(root + file, 'utf8'))?.[1];
    if (found !== wanted) problems.push(`${file}: says ${found ?? 'no version'}, and package.json says ${wanted}`);
  }
  const changelog = readFileSync(`${root}CHANGELOG.md`, 'utf8');
  if (!changelog.includes(`## [${wanted}]`)) problems.push(`CHANGELOG.md: has no section "## [${wanted}]"`);
  return problems;
}

/** Writes a version into every place; the changelog's section is written by people. */
export function setVersion(version, root = repository) {
  for (const { file, pattern, optional } of places) {
    if (optional && !existsSync(root + file)) continue;
    const text = readFileSync(root + file, 'utf8');
    writeFileSync(
      root + file,
      text.replace(
        pattern,
        (match, found) =>
          match.slice(0, match.lastIndexOf(found)) + version + match.slice(match.lastIndexOf(found) + found.length),
      ),
    );
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , version] = process.argv;
  if (version !== undefined) setVersion(version);
  const problems = versionProblems();
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else console.log(packageVersion());
}
