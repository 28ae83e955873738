import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helmProgram } from '../../tools/helm.js';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

/** The output of `npm run release:dry`, created once for all tests, because it takes minutes. */
export class MadeRelease {
  /** A folder for other files of the tests. */
  folder = '';
  release = '';
  helm = '';
  files: string[] = [];

  async make(): Promise<void> {
    this.helm = await helmProgram();
    this.folder = mkdtempSync(join(tmpdir(), 'image-swapper-release-test-'));
    this.release = join(this.folder, 'release');
    this.run('--output', this.release);
    this.files = readdirSync(this.release);
  }

  run(...flags: string[]): void {
    execFileSync('npm', ['run', 'release:dry', '--', ...flags], {
      cwd: root,
      env: { ...process.env, HELM: this.helm },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }

  /**
   * Returns the digests that the release lists: the digest of the index under '', and those of the platforms under
   * their names.
   */
  digests(): ReadonlyMap<string, string> {
    return new Map(
      readFileSync(join(this.release, 'image-digests.txt'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(/ {2}image-swapper:[^ ]+ ?/))
        .map(([digest = '', platform = '']) => [platform, digest]),
    );
  }

  remove(): void {
    if (this.folder !== '') rmSync(this.folder, { recursive: true, force: true });
  }
}
