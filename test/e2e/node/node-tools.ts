import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { debianTool } from '../../tools/debian.js';
import { goTool, goTools } from '../../tools/tool.js';

/** Program → Debian package that a node needs. */
export const NODE_PACKAGES = {
  containerd: 'containerd',
  runc: 'runc',
  nft: 'nftables',
  ip: 'iproute2',
  unshare: 'util-linux',
} as const;

/** The commands of test/tools/kubernetes-1.37, with the version that it pins. */
const KUBERNETES = {
  module: 'kubernetes-1.37',
  packages: ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'].map(
    (name) => `k8s.io/kubernetes/cmd/${name}`,
  ),
  variables: { 'k8s.io/component-base/version.gitVersion': 'v1.37.2' },
};

/** Where the Debian package containernetworking-plugins has its programs. */
export const CNI_PLUGINS = '/usr/lib/cni';

/**
 * Debian's programs of a node, installed when they are missing and this is root.
 *
 * @throws Error that names the packages which cannot be had
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

/** The folder with kubelet, kube-controller-manager, kube-scheduler, kube-proxy and kube-apiserver. */
export async function kubernetesPrograms(): Promise<string> {
  return goTools(KUBERNETES);
}

export async function coreDns(): Promise<string> {
  return goTool({ module: 'coredns', package: '.', command: 'coredns' });
}

export async function pauseProgram(): Promise<string> {
  return goTool({ module: 'pause', package: '.', command: 'pause' });
}
