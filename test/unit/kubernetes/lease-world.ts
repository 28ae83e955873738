import { LeaseError } from '../../../extension-service/src/kubernetes/lease/api.js';
import type { LeaseApi, LeaseWrite } from '../../../extension-service/src/kubernetes/lease/api.js';
import { LeaderElection } from '../../../extension-service/src/kubernetes/lease/leader-election.js';
import type { LeaderState } from '../../../extension-service/src/kubernetes/lease/leader-election.js';
import { readRecord } from '../../../extension-service/src/kubernetes/lease/record.js';
import type { StoredLease } from '../../../extension-service/src/kubernetes/lease/record.js';
import { VirtualTime } from '../../fakes/virtual-time.js';

/** The effect of the network on a replica's requests. */
export type NetworkState = 'up' | 'refusing' | 'losing requests' | 'losing answers' | 'forbidding';

export interface ReplicaOptions {
  readonly pod: string;
  /** Rate of the replica's clock. @default 1 */
  readonly rate?: number;
  /** Time that the replica's task takes to end, in milliseconds. @default 0 */
  readonly drain?: number;
}

/** One Lease in an API server, and the replicas that compete for it, in virtual time. */
export class LeaseWorld {
  readonly time = new VirtualTime();
  readonly replicas: Replica[] = [];
  lease: StoredLease | undefined;
  private version = 1;
  private uuids = 0;

  constructor(
    readonly random: () => number = () => 0.5,
    /** Maximum latency in one direction, in milliseconds. */
    readonly latency = 0,
  ) {}

  start(options: ReplicaOptions): Replica {
    this.uuids += 1;
    const uuid = `00000000-0000-4000-8000-${String(this.uuids).padStart(12, '0')}`;
    const replica = new Replica(this, `${options.pod}_${uuid}`, options);
    this.replicas.push(replica);
    replica.begin();
    return replica;
  }

  /** The replicas that currently work as leaders. */
  leaders(): Replica[] {
    return this.replicas.filter(({ working, alive }) => working && alive);
  }

  holder(): string | undefined {
    return this.lease?.record.holder;
  }

  read(): StoredLease | undefined {
    return this.lease;
  }

  create(write: LeaseWrite): StoredLease {
    if (this.lease !== undefined) throw new LeaseError('conflict', 'already exists');
    return this.put(write);
  }

  replace(resourceVersion: string, write: LeaseWrite): StoredLease {
    if (this.lease?.resourceVersion !== resourceVersion) throw new LeaseError('conflict', 'modified');
    return this.put(write);
  }

  /** Changes the Lease like a manual edit. */
  edit(change: Readonly<Record<string, unknown>>): void {
    this.version += 1;
    const { holder, duration, ...rest } = this.lease?.record ?? readRecord(undefined);
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: (duration ?? 0) / 1000,
      acquireTime: rest.acquireTime,
      renewTime: rest.renewTime,
      leaseTransitions: rest.transitions,
    };
    this.lease = { record: readRecord({ ...spec, ...change }), resourceVersion: String(this.version) };
  }

  private put(write: LeaseWrite): StoredLease {
    this.version += 1;
    const record = readRecord({
      holderIdentity: write.holder,
      leaseDurationSeconds: write.durationSeconds,
      acquireTime: write.acquireTime,
      renewTime: write.renewTime,
      leaseTransitions: write.transitions,
    });
    this.lease = { record, resourceVersion: String(this.version) };
    return this.lease;
  }
}

/** A process that takes part in the election. `working` is true while its task may work. */
export class Replica {
  alive = true;
  working = false;
  /** True until the task has ended. */
  busy = false;
  elections = 0;
  network: NetworkState = 'up';
  /** Reported states, newest last. */
  readonly states: LeaderState[] = [];
  ended = false;
  readonly log: string[] = [];
  private readonly stopper = new AbortController();

  constructor(
    private readonly world: LeaseWorld,
    readonly identity: string,
    readonly options: ReplicaOptions,
  ) {}

  get state(): LeaderState | undefined {
    return this.states.at(-1);
  }

  begin(): void {
    const { time, random } = this.world;
    const clock = time.clock(this.options.rate ?? 1, random() * 1e9, () => this.alive);
    const election = new LeaderElection({
      api: this.api(),
      identity: this.identity,
      podName: this.options.pod,
      onState: (state) => this.states.push(state),
      log: (level, message) => this.log.push(`${level}: ${message}`),
      clock,
      random,
    });
    const task = { name: 'work', lead: (signal: AbortSignal) => this.work(signal) };
    void election.run(this.stopper.signal, [task]).then(() => (this.ended = true));
  }

  /** Ends the process like `kill -9`. */
  crash(): void {
    this.alive = false;
  }

  stop(): void {
    this.stopper.abort();
  }

  private async work(signal: AbortSignal): Promise<void> {
    if (this.busy) throw new Error('a second task was started');
    this.elections += 1;
    this.working = true;
    this.busy = true;
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    // `working` becomes false synchronously with the signal, not a microtask later.
    signal.addEventListener('abort', () => (this.working = false), { once: true });
    await aborted;
    await this.world.time.sleep(this.options.drain ?? 0);
    this.busy = false;
  }

  private api(): LeaseApi {
    const { world } = this;
    const send = async <T>(apply: () => T): Promise<T> => {
      const way = (): Promise<void> => world.time.sleep(world.random() * world.latency);
      const never = new Promise<never>(() => {});
      await way();
      if (!this.alive || this.network === 'losing requests') return never;
      if (this.network === 'forbidding') throw new LeaseError('refused', 'forbidden');
      if (this.network === 'refusing') throw new LeaseError('unreachable', 'connection refused');
      const result = apply();
      if (this.network === 'losing answers') return never;
      await way();
      return this.alive ? result : never;
    };
    return {
      title: 'Lease test/lease',
      read: () => send(() => world.read()),
      create: (write) => send(() => world.create(write)),
      replace: (version, write) => send(() => world.replace(version, write)),
    };
  }
}
