import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const script = 'extension-service/scripts/version.mjs';
const chart = 'extension-service/chart/Chart.yaml';
const files = [
  'package.json',
  'package-lock.json',
  'CHANGELOG.md',
  'cdk8s/package.json',
  'extension-service/package.json',
  'extension-service/src/version.ts',
  script,
];

/** `npm run version:check`, in a copy of the files that hold the version. */
describe('the version', () => {
  let copy: string;
  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'image-swapper-version-'));
    for (const file of files) cpSync(join(root, file), join(copy, file));
    if (existsSync(join(root, chart))) cpSync(join(root, chart), join(copy, chart));
  });
  afterEach(() => rmSync(copy, { recursive: true }));

  const check = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(copy, script), ...args], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const edit = (file: string, change: (text: string) => string): void =>
    writeFileSync(join(copy, file), change(readFileSync(join(copy, file), 'utf8')));
  const writeChart = (text: string): void => {
    cpSync(join(copy, script), join(copy, chart));
    writeFileSync(join(copy, chart), text);
  };
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

  it('is the same everywhere in this repository', () => {
    expect(check()).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('of Node and Debian is the same in CI, in the base images and in the image that is built here', () => {
    const { config } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      config: { secondNode: string };
    };
    const bases = readFileSync(join(root, 'extension-service/scripts/base-images.mjs'), 'utf8');
    expect(/'library\/node', '([^']+)-trixie-slim'/.exec(bases)?.[1]).toBe(config.secondNode);
    const stages = readFileSync(join(root, 'extension-service/scripts/stage-images.mjs'), 'utf8');
    expect(/version: '([^']+)'/.exec(stages)?.[1]).toBe(config.secondNode);
    const debian = /DEBIAN = '([^']+)'/.exec(stages)?.[1];
    expect(/'library\/debian', '(\w+)-slim'/.exec(bases)?.[1]).toBe(debian);
    expect(debian).toBeDefined();
  });

  it.each([
    ['cdk8s/package.json', 1],
    ['extension-service/package.json', 1],
    ['extension-service/src/version.ts', 1],
    // The lock file has its own version, the root's version, and those of the two workspaces.
    ['package-lock.json', 4],
  ])('that only %s has is refused with each different location', (file, places) => {
    edit(file, (text) =>
      text.replaceAll(new RegExp(`((?:"version": "|VERSION = '))${version}(["'])`, 'g'), '$19.9.9$2'),
    );
    const { status, stderr } = check();
    expect(status).toBe(1);
    expect(stderr.trim().split('\n')).toEqual(
      Array.from({ length: places }, () => `${file}: says 9.9.9, and package.json says ${version}`),
    );
  });

  it('must equal the version of the chart and of its application', () => {
    writeChart(`version: ${version}\nappVersion: "9.9.9"\n`);
    expect(check()).toMatchObject({ status: 1, stderr: `${chart}: says 9.9.9, and package.json says ${version}\n` });
    writeChart(`version: 9.9.9\nappVersion: ${version}\n`);
    expect(check()).toMatchObject({ status: 1, stderr: `${chart}: says 9.9.9, and package.json says ${version}\n` });
  });

  it('needs a section in the changelog', () => {
    edit('CHANGELOG.md', (text) => text.replace(`## [${version}]`, '## [0.0.0]'));
    expect(check()).toMatchObject({ status: 1, stderr: `CHANGELOG.md: has no section "## [${version}]"\n` });
  });

  it('is written everywhere by one command that changes nothing else', () => {
    writeChart(`version: ${version}\nappVersion: ${version}\nkubeVersion: ">=1.28.0-0"\n`);
    edit('CHANGELOG.md', (text) => text.replace('## [Unreleased]', '## [Unreleased]\n\n## [8.8.8-rc.1]'));
    expect(check('8.8.8-rc.1')).toEqual({ status: 0, stdout: '8.8.8-rc.1\n', stderr: '' });
    const changed = (file: string): number => {
      const [before, after] = [root, copy].map((folder) => readFileSync(join(folder, file), 'utf8').split('\n'));
      expect(after).toHaveLength(before?.length ?? 0);
      return (after ?? []).filter((line, index) => line !== before?.[index]).length;
    };
    expect(['package.json', 'cdk8s/package.json', 'package-lock.json'].map(changed)).toEqual([1, 1, 4]);
    expect(readFileSync(join(copy, chart), 'utf8')).toBe(
      'version: 8.8.8-rc.1\nappVersion: 8.8.8-rc.1\nkubeVersion: ">=1.28.0-0"\n',
    );
  });
});
