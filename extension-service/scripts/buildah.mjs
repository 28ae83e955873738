import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Buildah with a store of its own, which ends with it: nothing of other builds gets in, and nothing of this stays. Needs
 * no daemon and no kernel features (chroot isolation, vfs), so that it works in a container as well.
 */
export class Buildah {
  #folder = mkdtempSync(join(tmpdir(), 'image-swapper-buildah-'));

  /** Returns the stdout of the command. @throws Error when it fails; its stderr is this process's */
  run(...args) {
    const store = [
      '--root',
      join(this.#folder, 'store'),
      '--runroot',
      join(this.#folder, 'run'),
      '--storage-driver',
      'vfs',
    ];
    return execFileSync('buildah', [...store, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }).trim();
  }

  close() {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
