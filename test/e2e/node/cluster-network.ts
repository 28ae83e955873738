import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ControlPlane } from '../cluster/control-plane.js';
import type { Program } from '../cluster/program.js';
import { POD_NETWORK } from './kubelet.js';
import { ADDRESS } from './machine.js';
import type { Machine } from './machine.js';

/** Starts kube-proxy, which implements the addresses of Services with nftables rules. */
export async function startKubeProxy(machine: Machine, plane: ControlPlane, command: string): Promise<Program> {
  const file = join(machine.folder, 'kube-proxy.yaml');
  await writeFile(
    file,
    stringify({
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'nftables',
      clientConnection: { kubeconfig: plane.kubeconfig },
      clusterCIDR: POD_NETWORK,
      hostnameOverride: 'node',
      // A network namespace cannot change these kernel settings.
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
      nftables: { minSyncPeriod: '0s' },
    }),
  );
  return machine.start('kube-proxy', command, [`--config=${file}`, '--v=1']);
}

/** Starts the DNS server for the names of Services, at the address that the kubelet gives to Pods. */
export async function startCoreDns(machine: Machine, plane: ControlPlane, command: string): Promise<Program> {
  const file = join(machine.folder, 'Corefile');
  await writeFile(
    file,
    `cluster.local:53 {
  bind ${ADDRESS}
  errors
  kubernetes cluster.local {
    kubeconfig ${plane.kubeconfig}
  }
}
.:53 {
  bind ${ADDRESS}
  errors
}
`,
  );
  return machine.start('coredns', command, ['-conf', file]);
}
