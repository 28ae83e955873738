import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const LOCK_TIMEOUT_SECONDS = 600;

/**
 * Returns the path of a program from a Debian package. Installs the package when the program is missing and the
 * process runs as root.
 *
 * @returns undefined, with a message on stderr, when the program cannot be installed outside CI
 * @throws Error when the program cannot be installed in CI, where every tool is required
 */
export function debianTool(program: string, packageName = program): string | undefined {
  const found = onPath(program);
  if (found !== undefined) return found;
  try {
    if (process.getuid?.() !== 0) throw new Error(`not root: install the Debian package ${packageName} yourself`);
    const options = {
      stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    };
    // Test files run in parallel, so several of them may install packages at the same time.
    const wait = ['-o', `DPkg::Lock::Timeout=${LOCK_TIMEOUT_SECONDS}`];
    execFileSync('apt-get', [...wait, 'update', '-qq'], options);
    execFileSync('apt-get', [...wait, 'install', '-y', '-qq', '--no-install-recommends', packageName], options);
  } catch (error) {
    const message = `${program} is missing and could not be installed: ${error instanceof Error ? error.message : String(error)}`;
    if (process.env['CI'] !== undefined) throw new Error(message, { cause: error });
    process.stderr.write(`SKIPPED what needs ${program}: ${message}\n`);
    return undefined;
  }
  return onPath(program);
}

function onPath(program: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}
