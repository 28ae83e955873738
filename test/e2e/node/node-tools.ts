import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { debianTool } from '../../tools/debian.js';
import { goTool } from '../../tools/tool.js';

/** Program → Debian package that a node needs. */
export const NODE_PACKAGES = {
  containerd: 'containerd',
  runc: 'runc',
  nft: 'nftables',
  ip: 'iproute2',
  unshare: 'util-linux',
} as const;

/** Folder of the programs in the Debian package containernetworking-plugins. */
export const CNI_PLUGINS = '/usr/lib/cni';

/**
 * Finds Debian's programs of a node. Installs missing ones if the process runs as root.
 *
 * @throws Error that names the packages that cannot be installed
 */
export function checkNodePackages(): void {
  const missing: string[] = Object.entries(NODE_PACKAGES)
    .filter(([program, name]) => debianTool(program, name) === undefined)
    .map(([, name]) => name);
  const plugins = 'containernetworking-plugins';
  if (!existsSync(join(CNI_PLUGINS, 'ptp'))) debianTool(join(CNI_PLUGINS, 'ptp'), plugins);
  if (!existsSync(join(CNI_PLUGINS, 'ptp'))) missing.push(plugins);
  if (missing.length > 0) throw new Error(`a node needs these Debian packages: apt-get install ${missing.join(' ')}`);
}

export async function coreDns(): Promise<string> {
  return goTool({ module: 'coredns', package: '.', command: 'coredns' });
}

export async function pauseProgram(): Promise<string> {
  return goTool({ module: 'pause', package: '.', command: 'pause' });
}
