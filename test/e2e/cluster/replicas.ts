import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { get } from '../../fakes/https-client.js';
import { RunningService } from '../../fakes/service.js';
import type { ServiceExit } from '../../fakes/service.js';
import type { ControlPlane } from './control-plane.js';
import { Front } from './front.js';
import { expectOk } from './kube-api.js';
import { WATCHING, serviceAccount } from './service-account.js';

export interface ReplicaOptions {
  readonly source: string;
  readonly target: string;
  /** Additional keys of the configuration. */
  readonly config?: object;
  readonly plain?: boolean;
}

interface Replica {
  readonly pod: string;
  readonly service: RunningService;
}

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/image-swapper/leases/image-swapper';
/** The permissions that the chart grants with `secretReader.enabled`. */
const PULL_SECRETS = { apiGroups: [''], resources: ['secrets', 'serviceaccounts'], verbs: ['get', 'list', 'watch'] };
let named = 0;

/**
 * Replicas of the built service at a real API server, with the permissions of their ServiceAccount. They are killed and
 * restarted as by a kubelet: a restarted container has the same Pod name, and a new Pod has another one.
 */
export class Replicas {
  readonly running: Replica[] = [];
  /** All replicas that ever ran. The test checks their logs at the end. */
  readonly all: Replica[] = [];

  private constructor(
    readonly plane: ControlPlane,
    /** A relay between the replicas and the API server. */
    readonly apiFront: Front,
    private readonly kubeconfig: string,
    private readonly options: ReplicaOptions,
  ) {}

  static async start(plane: ControlPlane, count: number, options: ReplicaOptions): Promise<Replicas> {
    const cluster = [...(WATCHING.cluster ?? []), PULL_SECRETS];
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights: { ...WATCHING, cluster } };
    const text = await serviceAccount(plane.api, account);
    // In a real cluster, a controller creates this ServiceAccount in every namespace.
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: 'team-a' },
    });
    const { address } = plane.api;
    const front = await Front.start(Number(new URL(address).port));
    const kubeconfig = join(plane.folder, `replicas-${front.port}`);
    await writeFile(kubeconfig, text.replace(address, `https://127.0.0.1:${front.port}`));
    const replicas = new Replicas(plane, front, kubeconfig, options);
    for (let index = 0; index < count; index += 1) await replicas.add();
    await replicas.leader();
    return replicas;
  }

  async add(pod?: string): Promise<Replica> {
    const { source, target, config = {}, plain = true } = this.options;
    named += 1;
    const name = pod ?? `image-swapper-${named}`;
    const service = await RunningService.start({
      config: stringify({
        target: { type: 'oci', oci: { registry: target, prefix: 'mirror', insecure: true } },
        source: { registries: [{ type: 'oci', oci: { registry: source, insecure: true } }] },
        ...config,
      }),
      env: { KUBECONFIG: this.kubeconfig, POD_NAME: name, POD_NAMESPACE: 'image-swapper' },
      plain,
    });
    const replica = { pod: name, service };
    this.running.push(replica);
    this.all.push(replica);
    return replica;
  }

  async kill(replica: Replica): Promise<void> {
    await this.end(replica, 'SIGKILL');
  }

  async end(replica: Replica, signal: NodeJS.Signals): Promise<ServiceExit> {
    this.running.splice(this.running.indexOf(replica), 1);
    return replica.service.stop(signal);
  }

  /** The holder of the Lease, as another client reads it. */
  async holder(): Promise<string> {
    const { status, body } = await this.plane.api.send('GET', LEASE);
    if (status === 404) return '';
    return (body as { readonly spec: { readonly holderIdentity?: string } }).spec.holderIdentity ?? '';
  }

  /** Waits until a running replica is the leader and returns it. */
  async leader(seconds = 30): Promise<Replica> {
    const deadline = Date.now() + seconds * 1_000;
    while (Date.now() < deadline) {
      const holder = await this.holder();
      const found = this.running.find(({ pod }) => holder.startsWith(`${pod}_`));
      if (found !== undefined) return found;
      await sleep(50);
    }
    throw new Error(`no replica leads after ${seconds} s\n${this.lastLogLines()}`);
  }

  /** Returns the sum of a metric over the running replicas, for the series with these labels. */
  async sum(metric: string, ...labels: readonly string[]): Promise<number> {
    let sum = 0;
    for (const { service } of this.running) {
      const { text } = await get(`${service.operations}/metrics`);
      for (const line of text.split('\n')) {
        const [, name = '', given = '', value = ''] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
        if (name === metric && labels.every((label) => given.includes(label))) sum += Number(value);
      }
    }
    return sum;
  }

  /** Returns the warnings and errors in the logs of all replicas. */
  warnings(): readonly string[] {
    return this.all.flatMap(({ service }) =>
      service.log.filter(({ level }) => level === 'warn' || level === 'error').map((line) => JSON.stringify(line)),
    );
  }

  lastLogLines(): string {
    return this.all.map(({ pod, service }) => `${pod}: ${JSON.stringify(service.log.slice(-12))}`).join('\n');
  }

  /** Stops all replicas and deletes the objects that they wrote to the API server. */
  async stop(): Promise<void> {
    await Promise.all(this.running.splice(0).map(({ service }) => service.stop('SIGKILL')));
    await this.apiFront.stop();
    await this.plane.api.send('DELETE', LEASE);
    for (const namespace of ['team-a']) {
      const path = `/api/v1/namespaces/${namespace}/pods?gracePeriodSeconds=0`;
      expectOk(await this.plane.api.send('DELETE', path), 'delete the Pods');
    }
  }
}
