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
  /** Further keys of the configuration. */
  readonly config?: object;
  readonly plain?: boolean;
}

interface Replica {
  readonly pod: string;
  readonly service: RunningService;
}

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/image-swapper/leases/image-swapper';
/** As the chart grants it with `secretReader.enabled`. */
const PULL_SECRETS = { apiGroups: [''], resources: ['secrets', 'serviceaccounts'], verbs: ['get', 'list', 'watch'] };
let named = 0;

/**
 * Replicas of the built service at a real API server, with the rights of their ServiceAccount, killed and restarted as
 * by a kubelet: with the same Pod name for a restarted container, and another one for a new Pod.
 */
export class Replicas {
  readonly running: Replica[] = [];
  /** All replicas that ever ran: their logs are checked at the end. */
  readonly all: Replica[] = [];

  private constructor(
    readonly plane: ControlPlane,
    /** Between the replicas and the API server. */
    readonly apiFront: Front,
    private readonly kubeconfig: string,
    private readonly options: ReplicaOptions,
  ) {}

  static async start(plane: ControlPlane, count: number, options: ReplicaOptions): Promise<Replicas> {
    const cluster = [...(WATCHING.cluster ?? []), PULL_SECRETS];
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights: { ...WATCHING, cluster } };
    const text = await serviceAccount(plane.api, account);
    // A controller makes it in every namespace of a real cluster.
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

  /** According to the Lease, as another client reads it. */
  async holder(): Promise<string> {
    const { status, body } = await this.plane.api.send('GET', LEASE);
    if (status === 404) return '';
    return (body as { readonly spec: { readonly holderIdentity?: string } }).spec.holderIdentity ?? '';
  }

  /** The replica that leads, once one of those that run does. */
  async leader(seconds = 30): Promise<Replica> {
    const deadline = Date.now() + seconds * 1_000;
    while (Date.now() < deadline) {
      const holder = await this.holder();
      const found = this.running.find(({ pod }) => holder.startsWith(`${pod}_`));
      if (found !== undefined) return found;
      await sleep(50);
    }
    throw new Error(`no replica leads after ${seconds} s\n${this.lastWords()}`);
  }

  /** The sum of a metric over the replicas that run, of the series with these labels. */
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

  /** Log lines for users. */
  warnings(): readonly string[] {
    return this.all.flatMap(({ service }) =>
      service.log.filter(({ level }) => level === 'warn' || level === 'error').map((line) => JSON.stringify(line)),
    );
  }

  lastWords(): string {
    return this.all.map(({ pod, service }) => `${pod}: ${JSON.stringify(service.log.slice(-12))}`).join('\n');
  }

  /** Stops all, and deletes what they wrote to the API server. */
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
