import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Returns the command line of a program that resolves names as in a cluster, with a separate /etc/hosts in a separate
 * mount namespace. Without names, it returns the command unchanged. Needs root and util-linux.
 */
export async function withHosts(
  command: string,
  args: readonly string[],
  folder: string,
  hosts: Readonly<Record<string, string>> = {},
): Promise<{ readonly command: string; readonly args: readonly string[] }> {
  const names = Object.entries(hosts);
  if (names.length === 0) return { command, args };
  const file = join(folder, 'hosts');
  const lines = [['localhost', '127.0.0.1'] as const, ...names].map(([name, address]) => `${address} ${name}\n`);
  await writeFile(file, lines.join(''));
  const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
  return { command: 'unshare', args: ['--mount', 'sh', '-c', script, file, command, ...args] };
}
