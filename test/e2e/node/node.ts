import { join } from 'node:path';
import { RealRegistry } from '../../fakes/real-registry.js';
import type { RealRegistryOptions } from '../../fakes/real-registry.js';
import { ControlPlane } from '../cluster/control-plane.js';
import type { Program } from '../cluster/program.js';
import { kubernetesPrograms } from '../cluster/versions.js';
import { startCoreDns, startKubeProxy } from './cluster-network.js';
import { imageOf, push } from './images.js';
import { pullByHttp, startContainerd, startKubelet } from './kubelet.js';
import { ADDRESS, Machine } from './machine.js';
import { checkNodePackages, coreDns, pauseProgram } from './node-tools.js';

/** A cluster with one node that runs Pods. All programs of Kubernetes run in a machine within this one. */
export class Node {
  private constructor(
    readonly machine: Machine,
    readonly plane: ControlPlane,
    /** The registry with the images of the cluster's own components. */
    readonly system: RealRegistry,
    private readonly programs: readonly Program[],
    private readonly registries: RealRegistry[],
  ) {}

  static async start(): Promise<Node> {
    checkNodePackages();
    const [folder, dns, pause] = [await kubernetesPrograms(), await coreDns(), await pauseProgram()];
    const machine = await Machine.start();
    const programs: Program[] = [];
    const registries: RealRegistry[] = [];
    let plane: ControlPlane | undefined;
    try {
      const system = await registryIn(machine);
      registries.push(system);
      const pauseImage = imageOf({ files: { '/pause': pause }, entrypoint: ['/pause'] });
      programs.push(await startContainerd(machine, await push(system, 'pause', pauseImage)));
      plane = await ControlPlane.start({
        surroundings: machine,
        serviceAccounts: true,
        // The first address of the Service network belongs to the API server.
        hosts: [ADDRESS, '10.96.0.1', 'kubernetes.default.svc'],
        flags: [`--bind-address=0.0.0.0`, `--advertise-address=${ADDRESS}`],
      });
      const kubernetes = (name: string, ...flags: string[]): Program =>
        machine.start(name, join(folder, name), [
          `--kubeconfig=${plane?.kubeconfig}`,
          '--leader-elect=false',
          ...flags,
        ]);
      programs.push(
        kubernetes(
          'kube-controller-manager',
          '--controllers=*,-nodeipam',
          `--root-ca-file=${join(plane.folder, 'apiserver-ca.crt')}`,
          `--service-account-private-key-file=${join(plane.folder, 'service-account.key')}`,
        ),
        kubernetes('kube-scheduler'),
        await startKubeProxy(machine, plane, join(folder, 'kube-proxy')),
        await startCoreDns(machine, plane, dns),
      );
      const kubelet = await startKubelet(machine, plane, join(folder, 'kubelet'));
      programs.push(kubelet);
      const node = new Node(machine, plane, system, programs, registries);
      await kubelet.waitFor('a node that is ready', 120, () => node.isReady());
      return node;
    } catch (error) {
      await plane?.stop();
      for (const registry of registries) await registry.stop();
      await machine.stop();
      throw error;
    }
  }

  /** Starts a registry that Pods, nodes and this process can reach. */
  async registry(options: Pick<RealRegistryOptions, 'htpasswd'> = {}): Promise<RealRegistry> {
    const registry = await registryIn(this.machine, options);
    this.registries.push(registry);
    return registry;
  }

  /** Returns the end of the output of one program, to find out why a test failed. */
  output(name: string): string {
    return this.programs.find((program) => program.name === name)?.output ?? '';
  }

  async stop(): Promise<void> {
    // The processes end with the machine. The plane and the registries also have files outside it.
    await this.machine.stop();
    await this.plane.stop();
    for (const registry of this.registries) await registry.stop();
  }

  private async isReady(): Promise<boolean> {
    const { status, body } = await this.plane.api.send('GET', '/api/v1/nodes/node');
    const node = body as { readonly status?: { readonly conditions?: readonly { type: string; status: string }[] } };
    return status === 200 && node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
  }
}

async function registryIn(machine: Machine, options: RealRegistryOptions = {}): Promise<RealRegistry> {
  const registry = await RealRegistry.start({ ...options, address: ADDRESS, surroundings: machine });
  await pullByHttp(machine, registry.host);
  return registry;
}
