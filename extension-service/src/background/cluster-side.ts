import type { Config } from '../core/config/model.js';
import { engineOf } from '../core/engines/engines.js';
import { compileRules } from '../core/decide/rules.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { Rules } from '../core/decide/rules.js';
import type { GarbageCollection } from './garbage.js';
import type { BackgroundLog, CheckAccess, ClusterPart } from './run.js';
import type { ClusterEvent } from './protocol.js';
import { connectCluster } from '../kubernetes/api.js';
import type { ClusterAccess } from '../kubernetes/api.js';
import type { CopyReport } from '../kubernetes/copy-report.js';
import { ClusterEvents } from '../kubernetes/events/cluster-events.js';
import { EventRecorder } from '../kubernetes/events/event-recorder.js';
import { kyvernoVersion } from '../kubernetes/kyverno-version.js';
import type { LeaderTask } from '../kubernetes/leader-task.js';
import { leaderTasks } from '../kubernetes/leader-tasks.js';
import { ClusterLease } from '../kubernetes/lease/cluster-lease.js';
import { leaseIdentity } from '../kubernetes/lease/identity.js';
import { LeaderElection } from '../kubernetes/lease/leader-election.js';
import type { LeaderState } from '../kubernetes/lease/leader-election.js';
import { usesImageTable } from '../kubernetes/image-table/uses-image-table.js';
import { publishedNames } from '../kubernetes/image-table/adopt.js';
import { MirroredImages } from '../kubernetes/image-table/mirrored-images.js';
import { PublicImages } from '../kubernetes/image-table/public-images.js';
import { ownerOf } from '../kubernetes/managed-policies/owner.js';
import { PolicyObjects } from '../kubernetes/managed-policies/policy-objects.js';
import { ConfigFeed } from '../kubernetes/live-config.js';
import { openServingCertificate } from '../kubernetes/serving-certificate/open.js';
import type { OpenedCertificate } from '../kubernetes/serving-certificate/open.js';
import { ProblemLog } from '../kubernetes/problem-log.js';
import { clusterLists } from '../kubernetes/watch/cluster-lists.js';
import { clusterWatches } from '../kubernetes/watch/cluster-watches.js';
import { GarbageTask } from '../kubernetes/usage/garbage-task.js';
import type { GarbageTaskOptions } from '../kubernetes/usage/garbage-task.js';
import { UsageRecorder } from '../kubernetes/usage/usage-recorder.js';
import { Reconciler } from '../kubernetes/workloads/reconciler.js';
import { messageOf } from '../util/message-of.js';
import { sleep } from '../util/sleep.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface ClusterSideOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: BackgroundLog;
  readonly emit: (event: ClusterEvent) => void;
  readonly garbage: GarbageCollection;
  readonly checkAccess: CheckAccess;
  readonly garbageTimes?: GarbageTaskOptions['times'];
  /** Delay in milliseconds before an unusable kubeconfig is tried again. @default 10000 */
  readonly retry?: number;
}

const KUBECONFIG_RETRY_MS = 10_000;
/** A Lease without news for this long counts as unreachable. */
const LEASE_WARNING_AFTER_MS = 20_000;

/**
 * The service's work in the cluster in addition to answering requests: it takes part in the election of the replica that
 * copies, and while it leads, finds out what to copy.
 */
export class ClusterSide implements ClusterPart {
  private readonly abort = new AbortController();
  private readonly identity;
  private current: { readonly config: Config; readonly rules: Rules };
  private reconciler: Reconciler | undefined;
  private images: MirroredImages | undefined;
  /** With `source.accessCheck`: decides which images reach `images`. */
  private publicImages: PublicImages | undefined;
  /** Names in targets that gc is about to delete. Until it has ended, a lookup may still find them. */
  private readonly withdrawn = new Set<string>();
  private recorder: EventRecorder | undefined;
  private cluster: ClusterAccess | undefined;
  private leads = false;
  private running: Promise<void> | undefined;
  private readonly feed: ConfigFeed;
  /** Set with `tls.mode: selfSigned`, once the cluster was reached; stays until the service ends. */
  private certificate: OpenedCertificate | undefined;
  private keptCertificate: Promise<void> | undefined;
  /** Ends the running election, to start another with a new configuration. */
  private restartElection: AbortController | undefined;
  private readonly problems: ProblemLog;

  constructor(
    config: Config,
    private readonly options: ClusterSideOptions,
  ) {
    this.current = { config, rules: compileRules(config, namingTarget) };
    this.feed = new ConfigFeed(config);
    this.identity = leaseIdentity(options.env);
    this.problems = new ProblemLog((level, message) => options.log(level === 'warn' ? 'error' : level, message));
  }

  start(): void {
    this.running ??= this.run();
  }

  configure(config: Config): void {
    const before = this.current.config;
    this.current = { config, rules: compileRules(config, namingTarget) };
    this.feed.set(config);
    if (!usesImageTable(config)) this.images?.forget();
    if (electionOf(before) === electionOf(config)) this.reconciler?.reconfigure();
    else this.restartElection?.abort();
  }

  /** The queue server cannot be used: the leader reports it on the Lease. */
  async queueLost(message: string): Promise<void> {
    const { config } = this.current;
    const { cluster } = this;
    if (!this.leads || cluster === undefined || !config.events.enabled || config.dryRun) return;
    const { name, namespace = cluster.namespace } = config.lease;
    try {
      const lease = await ClusterLease.connect(cluster, name, namespace);
      const uid = await lease.uid(this.abort.signal);
      const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name, namespace, uid };
      this.recorder?.recordQueueLoss(object, message);
    } catch (error) {
      this.options.log('debug', `no Event about the queue server: ${messageOf(error)}`);
    }
  }

  /** Whether the reconciler has seen a workload that uses the image; undefined if it does not know. */
  shows(job: MirrorJob): boolean | undefined {
    return this.reconciler?.shows(job);
  }

  /** The names in the targets that the objects of `policies.table` have, regardless of which replica writes them. */
  async readTable(): Promise<readonly string[]> {
    const { cluster } = this;
    if (cluster === undefined) return [];
    const { config } = this.current;
    const objects = await PolicyObjects.connect(cluster);
    return publishedNames({ objects, config, owner: ownerOf(config, cluster.namespace) });
  }

  settled(report: CopyReport): void {
    this.reconciler?.settled(report);
  }

  copied(report: CopyReport): void {
    this.reconciler?.copied(report);
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.running;
    await this.keptCertificate;
  }

  private async run(): Promise<void> {
    const { signal } = this.abort;
    while (!signal.aborted) {
      const restart = new AbortController();
      this.restartElection = restart;
      const either = AbortSignal.any([signal, restart.signal]);
      try {
        const cluster = await connectCluster(this.options.env);
        if (cluster === undefined) {
          this.options.log('info', 'there is no cluster: Pods are not watched, and only admissions ask for copies');
          this.role('alone');
          return;
        }
        await this.takePart(cluster, either);
      } catch (error) {
        const problem = `cannot connect to the cluster: ${messageOf(error)}`;
        this.problems.update([problem], '');
        this.options.emit({ kind: 'serving-certificate-problem', message: problem });
        this.role('alone');
        await sleep(this.options.retry ?? KUBECONFIG_RETRY_MS, either);
      }
    }
  }

  private async takePart(cluster: ClusterAccess, signal: AbortSignal): Promise<void> {
    const { log, emit } = this.options;
    const { config } = this.current;
    this.keepCertificate(cluster);
    void this.logRetirement(cluster, config);
    this.cluster = cluster;
    this.recorder = new EventRecorder({ api: new ClusterEvents(cluster.core, this.identity.name), log });
    const tasks = await this.tasks(cluster, signal);
    this.problems.update([], 'connected to the cluster');
    if (!config.reconcile.enabled) this.role('alone');
    if (tasks.length === 0) {
      await aborted(signal);
      return;
    }
    // Admission requests may arrive even if this replica cannot reach the API server.
    const warningTimer = setTimeout(() => {
      if (config.reconcile.enabled) this.role('alone');
    }, LEASE_WARNING_AFTER_MS);
    const election = new LeaderElection({
      api: await ClusterLease.connect(cluster, config.lease.name, config.lease.namespace),
      ...this.identity,
      onState: (state) => {
        clearTimeout(warningTimer);
        this.leads = state.leading;
        if (config.reconcile.enabled) emit({ kind: 'role', ...roleOf(state) });
      },
      log,
    });
    await election.run(signal, tasks).finally(() => clearTimeout(warningTimer));
    await this.recorder.stop();
    if (config.reconcile.enabled) this.role('starting');
  }

  /** Newer versions of an engine may reject its policies. */
  private async logRetirement(cluster: ClusterAccess, { policies }: Config): Promise<void> {
    const retirement = engineOf(policies)?.retirement;
    if (retirement === undefined) return;
    const { message } = retirement.judge(await kyvernoVersion(cluster));
    this.options.log('warn', `policies.engine ${policies.engine}: ${message}`);
  }

  /** Every replica maintains the serving certificate, independently of the leader and before a leader is known. */
  private keepCertificate(cluster: ClusterAccess): void {
    if (this.certificate !== undefined || this.current.config.tls.mode !== 'selfSigned') return;
    const { log, emit } = this.options;
    this.certificate = openServingCertificate({
      ...{ cluster, log },
      config: this.feed,
      onCertificate: (pair) => emit({ kind: 'serving-certificate', pair }),
      onProblem: (message) => emit({ kind: 'serving-certificate-problem', message }),
    });
    this.keptCertificate = this.certificate.serving.run(this.abort.signal);
  }

  /** The leader's tasks. */
  private async tasks(cluster: ClusterAccess, signal: AbortSignal): Promise<readonly LeaderTask[]> {
    const { certificate, feed, options } = this;
    const { log, emit, checkAccess: ask } = options;
    this.images = new MirroredImages({ log, onReport: (report) => emit({ kind: 'image-table', report }) });
    this.publicImages = new PublicImages({ images: this.images, ask, signal });
    const writing = await leaderTasks({
      ...{ cluster, log, images: this.images },
      config: feed,
      ...(certificate !== undefined && { certificate }),
    });
    const recorder = this.recorderOf(cluster);
    const reconciling = await this.reconciling(cluster, recorder);
    const recording = recorder === undefined || reconciling.length === 0 ? [] : [recorder];
    return [...reconciling, ...recording, ...this.collecting(), ...writing];
  }

  /** With `gc.cluster`: writes this cluster's usage record to the targets. */
  private recorderOf(cluster: ClusterAccess): UsageRecorder | undefined {
    const { config } = this.current;
    if (config.gc.cluster === undefined) return undefined;
    const { log, garbage, emit } = this.options;
    return new UsageRecorder({
      log,
      onWriters: (writers) => emit({ kind: 'usage-writers', writers }),
      isSynced: () => this.reconciler?.state().synced === true,
      write: async (uses, signal) => {
        const { lease } = this.current.config;
        const uid = await (await ClusterLease.connect(cluster, lease.name, lease.namespace)).uid(signal);
        return garbage.record(this.current.config, uid, uses, signal);
      },
    });
  }

  private collecting(): readonly LeaderTask[] {
    if (!this.current.config.gc.enabled) return [];
    const { log, garbage, garbageTimes, emit } = this.options;
    return [
      new GarbageTask({
        log,
        ...(garbageTimes !== undefined && { times: garbageTimes }),
        report: (results) => emit({ kind: 'garbage', results }),
        collect: (beforeDelete, signal) =>
          garbage.collect(this.current.config, beforeDelete, signal).finally(() => this.withdrawn.clear()),
        withdraw: async (names, signal) => {
          for (const text of names) {
            this.withdrawn.add(text);
            this.missing({ reference: { text } });
          }
          if (usesImageTable(this.current.config)) await this.images?.untilApplied(signal);
        },
      }),
    ];
  }

  /** @param digest of the image in the target */
  private present(job: MirrorJob, digest: string): void {
    const { config } = this.current;
    if (!usesImageTable(config) || this.withdrawn.has(job.reference.text)) return;
    if (config.source.accessCheck === 'none') this.images?.present(job);
    else this.publicImages?.present(job, digest);
  }

  private missing(image: { readonly reference: Pick<MirrorJob['reference'], 'text'> }): void {
    if (!usesImageTable(this.current.config)) return;
    this.publicImages?.missing(image);
    this.images?.missing(image);
  }

  private async reconciling(
    cluster: ClusterAccess,
    recorder: UsageRecorder | undefined,
  ): Promise<readonly LeaderTask[]> {
    const { log, emit } = this.options;
    this.reconciler = undefined;
    if (!this.current.config.reconcile.enabled) return [];
    const watches = await clusterWatches(cluster.config);
    this.reconciler = new Reconciler({
      access: { lists: clusterLists(cluster.config), watches },
      configuration: () => this.current,
      ownNamespace: cluster.ownNamespace,
      want: (jobs) => emit({ kind: 'wanted', jobs }),
      ...(recorder !== undefined && { used: recorder.used }),
      onReport: (report) => emit({ kind: 'watches', report }),
      onPresence: (job, digest) => (digest === undefined ? this.missing(job) : this.present(job, digest)),
      onNoAnswer: (job) => this.images?.keep(job),
      onCopyUpdate: (update) => {
        const { events, dryRun } = this.current.config;
        if (events.enabled && !dryRun) this.recorder?.record(update);
      },
      log,
    });
    return [this.reconciler];
  }

  private role(role: 'alone' | 'starting'): void {
    this.options.emit({ kind: 'role', role });
  }
}

function roleOf({ leading, holder, unavailable }: LeaderState): Omit<ClusterEvent & { kind: 'role' }, 'kind'> {
  // Without a Lease no replica knows which one copies: each replica makes the copies for its own requests, as without
  // a cluster.
  const role = leading ? 'leader' : unavailable !== undefined ? 'alone' : 'follower';
  return { role, ...(holder !== undefined && { holder }) };
}

/** The part of the configuration that a running election cannot apply. */
function electionOf({ lease, reconcile, policies, gc }: Config): string {
  return JSON.stringify([lease, reconcile.enabled, policies.manage, gc.enabled, gc.cluster]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
