import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Gives the tests of a run one temporary folder, and removes it with everything that tests, libraries and killed
 * processes have left. The name is short, because the path of a socket has at most 107 characters.
 */
export default function setup(): (() => void) | undefined {
  if (process.env['IMAGE_SWAPPER_TEST_FOLDER'] !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'swap-'));
  // PostgreSQL does not run as root, so its tests use another user.
  chmodSync(folder, 0o755);
  process.env['IMAGE_SWAPPER_TEST_FOLDER'] = folder;
  process.env['TMPDIR'] = folder;
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
