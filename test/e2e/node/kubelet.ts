import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ControlPlane } from '../cluster/control-plane.js';
import type { Program } from '../cluster/program.js';
import { ADDRESS } from './machine.js';
import type { Machine } from './machine.js';
import { CNI_PLUGINS } from './node-tools.js';

/** The address range of Pods. */
export const POD_NETWORK = '10.244.0.0/24';

/** Starts containerd without a service manager, AppArmor or a union file system, and the network of its Pods. */
export async function startContainerd(machine: Machine, pauseImage: string): Promise<Program> {
  const at = (name: string): string => join(machine.folder, name);
  for (const name of ['cni', 'hosts']) await mkdir(at(name), { recursive: true });
  const network = {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'ptp',
        mtu: 1500,
        ipam: { type: 'host-local', subnet: POD_NETWORK, dataDir: at('cni-addresses'), routes: [{ dst: '0.0.0.0/0' }] },
      },
    ],
  };
  await writeFile(at('cni/10-pods.conflist'), JSON.stringify(network));
  await writeFile(at('containerd.toml'), configuration(at, pauseImage));
  const containerd = machine.start('containerd', 'containerd', ['--config', at('containerd.toml')], {
    TMPDIR: machine.folder,
  });
  await containerd.waitFor('being ready', 60, () =>
    Promise.resolve(containerd.output.includes('containerd successfully booted')),
  );
  return containerd;
}

/** Makes nodes pull from this registry over plain HTTP. */
export async function pullByHttp(machine: Machine, host: string): Promise<void> {
  const folder = join(machine.folder, 'hosts', host);
  await mkdir(folder, { recursive: true });
  const [server, how] = [`server = "http://${host}"`, 'capabilities = ["pull", "resolve"]'];
  await writeFile(join(folder, 'hosts.toml'), `${server}\n[host."http://${host}"]\n  ${how}\n`);
}

export async function startKubelet(machine: Machine, plane: ControlPlane, command: string): Promise<Program> {
  const at = (name: string): string => join(machine.folder, name);
  await writeFile(at('resolv.conf'), '');
  await writeFile(
    at('kubelet.yaml'),
    stringify({
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: 'AlwaysAllow' },
      address: '127.0.0.1',
      containerRuntimeEndpoint: `unix://${at('containerd.sock')}`,
      failCgroupV1: false,
      cgroupDriver: 'cgroupfs',
      cgroupRoot: machine.cgroup,
      enforceNodeAllocatable: [],
      failSwapOn: false,
      localStorageCapacityIsolation: false,
      evictionHard: { 'memory.available': '1Mi' },
      makeIPTablesUtilChains: false,
      serializeImagePulls: false,
      registryPullQPS: 0,
      eventRecordQPS: 0,
      clusterDNS: [ADDRESS],
      clusterDomain: 'cluster.local',
      resolvConf: at('resolv.conf'),
      podLogsDir: at('logs'),
      volumePluginDir: at('volume-plugins'),
      nodeStatusUpdateFrequency: '5s',
    }),
  );
  return machine.start('kubelet', command, [
    `--config=${at('kubelet.yaml')}`,
    `--kubeconfig=${plane.kubeconfig}`,
    `--root-dir=${at('kubelet')}`,
    `--cert-dir=${at('kubelet-certs')}`,
    '--hostname-override=node',
    `--node-ip=${ADDRESS}`,
    '--v=1',
  ]);
}

function configuration(at: (name: string) => string, pauseImage: string): string {
  return `version = 2
root = "${at('containerd')}"
state = "${at('containerd-state')}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "${at('containerd.sock')}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${at('opt')}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  disable_apparmor = true
  disable_hugetlb_controller = true
  # A runc that may not lower its own score ends with "can't get final child's PID".
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${CNI_PLUGINS}"
  conf_dir = "${at('cni')}"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "${at('hosts')}"
`;
}
