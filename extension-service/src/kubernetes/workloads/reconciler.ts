import { setMaxListeners } from 'node:events';
import type { JsonObject } from '../../core/decide/pod.js';
import type { Config } from '../../core/config/model.js';
import type { Rules } from '../../core/decide/rules.js';
import { sourceHost } from '../../core/decide/mirror-job.js';
import type { MirrorJob } from '../../core/decide/mirror-job.js';
import type { CopyUpdate } from '../copy-update.js';
import type { CopyReport } from '../copy-report.js';
import type { CopyFailure } from '../../registry/copy-failure.js';
import type { LeaderTask } from '../leader-task.js';
import type { ObjectReference } from '../object-reference.js';
import { LogRateLimiter } from '../../util/log-rate-limiter.js';
import { Reflector } from '../watch/reflector.js';
import type { ObjectSink, ReflectorOptions } from '../watch/reflector.js';
import { CopyAgenda } from './agenda.js';
import { LISTED, NEW_RANK } from './due-keys.js';
import { identify } from './identify.js';
import { namespacesNotWatched } from './namespaces.js';
import { WORKLOAD_KINDS } from './kinds.js';
import type { WorkloadKind } from './kinds.js';
import { samePull } from './pull-contexts.js';
import { Sources } from './sources.js';
import { VanishedSources } from './vanished-sources.js';
import { imagesUsedBy } from '../usage/used-images.js';
import type { UsedImages } from '../usage/used-images.js';
import { UnknownImages } from './unknown-images.js';
import { usesOf } from './uses.js';
import type { Uses } from './uses.js';
import { WantedImages } from './wanted-images.js';
import { WatchReports } from './watch-reports.js';
import type { WatchReport } from './watch-reports.js';
import { sleep } from '../../util/sleep.js';

export interface ReconcilerOptions {
  readonly access: Pick<ReflectorOptions, 'lists' | 'watches' | 'times'>;
  readonly configuration: () => { readonly config: Config; readonly rules: Rules };
  /** The service's own Pods are ignored, like those that policies exclude. */
  readonly ownNamespace: string | undefined;
  /** Passes copies to the queue; each is answered by `settled`. */
  readonly want: (jobs: readonly MirrorJob[]) => void;
  readonly onCopyUpdate: (news: CopyUpdate) => void;
  /**
   * Called each time that it is known whether a target has an image of the cluster: `digest` is undefined if it does
   * not.
   */
  readonly onPresence?: (job: MirrorJob, digest: string | undefined) => void;
  /** Called for an image of the cluster when a check did not show whether its target has it. */
  readonly onNoAnswer?: (job: MirrorJob) => void;
  /** The current state, reported at most a second after each change. */
  readonly onReport?: (report: WatchReport) => void;
  /** Receives the images that every object keeps in the targets. */
  readonly used?: UsedImages;
  readonly log: (level: 'debug' | 'info' | 'warn', message: string) => void;
  readonly now?: () => number;
}

/** The reconciler's view; `synced` once every kind was listed. */
export interface ReconcilerState {
  readonly synced: boolean;
  readonly objects: number;
  readonly images: number;
  /** Images in a target whose source is unknown. */
  readonly unknown: number;
}

/** Maximum workloads of an image to report the result of its copy on. */
const MAX_USERS = 5;
/** A Pod exists milliseconds after its admission, and a small image is copied sooner, so reports are delayed. */
const REPORT_DELAY_MS = 3_000;
/** Pods are listed after the templates that name their sources, or after this time. */
const TEMPLATES_TIMEOUT_MS = 30_000;
const REPORT_INTERVAL_MS = 1_000;
/** Maximum log lines about images of an unknown source. */
const MAX_LINES = 1_000;

/**
 * The cluster's own objects are the list of work: every image of a Pod or a template must be in a target. The next
 * leader rebuilds the list, so a crash loses nothing.
 */
export class Reconciler implements LeaderTask {
  readonly name = 'reconciler';
  private wanted = new WantedImages();
  private readonly sources = new Sources();
  private agenda: CopyAgenda | undefined;
  private restart: (() => void) | undefined;
  private readonly unknown = new UnknownImages();
  private unknownLines = 0;
  private readonly synced = new Set<string>();
  /** By kind, for the current round. */
  private readonly reflectors = new Map<string, Reflector>();
  private readonly reports: WatchReports;
  private readonly vanished: VanishedSources;
  private readonly bugLines = new LogRateLimiter(60_000);

  constructor(private readonly options: ReconcilerOptions) {
    this.reports = new WatchReports((report) => options.onReport?.(report));
    this.vanished = new VanishedSources(options.now ?? Date.now);
  }

  async lead(signal: AbortSignal): Promise<void> {
    const reporting = setInterval(() => this.report(), REPORT_INTERVAL_MS).unref();
    try {
      await this.rounds(signal);
    } finally {
      clearInterval(reporting);
      this.report();
    }
  }

  private async rounds(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const round = new AbortController();
      // Every kind's list, watch and delays listen to it.
      setMaxListeners(0, round.signal);
      const stop = (): void => round.abort();
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      this.restart = stop;
      await this.round(round.signal);
      signal.removeEventListener('abort', stop);
    }
  }

  /** Another configuration decides differently, so everything is checked again. */
  reconfigure(): void {
    this.restart?.();
  }

  /** The result of a requested copy, even if it did not run. */
  settled(report: CopyReport): void {
    this.agenda?.settled(report);
    this.reportPresence(report);
  }

  /** An attempt to copy has ended, regardless of who requested it. */
  copied(report: CopyReport): void {
    const { job } = report;
    const { rules } = this.options.configuration();
    this.agenda?.copied(report);
    this.reportPresence(report);
    const gone = this.processReport(report);
    const target = rules.targets.find(({ config }) => config.name === job.target);
    if (target !== undefined) this.sources.recordJob(target, job);
    this.reportCopy(report, gone, this.wanted.get(job.key) === undefined);
  }

  /**
   * @returns since when the source has been missing, in milliseconds since the epoch; undefined while it does not count
   * as missing
   */
  private processReport(report: CopyReport): number | undefined {
    const { job, result } = report;
    if (this.wanted.get(job.key) === undefined) return undefined;
    const { hasVanished, since = 0, lookups, isNew } = this.vanished.recordCopy(report);
    if (isNew && hasVanished && !result.ok) {
      const users = this.wanted.topUsers(job.key, MAX_USERS).map(titleOf).join(', ');
      const gone = `has been gone from its registry since ${new Date(since).toISOString()} (${lookups} lookups)`;
      const message = `${job.source} ${gone}; ${job.reference.text} is kept. It is used by ${users}: ${result.failure.message}`;
      this.options.log('warn', message);
    } else if (isNew && !hasVanished) this.options.log('info', `${job.source} is back at its registry`);
    return hasVanished ? since : undefined;
  }

  /**
   * Whether something in the cluster uses the image with this pull context; undefined before everything is listed, as
   * in a replica that does not lead.
   */
  shows({ key, pull }: MirrorJob): boolean | undefined {
    if (this.synced.size < WORKLOAD_KINDS.length) return undefined;
    return (
      this.wanted
        .get(key)
        ?.pulls()
        .some((known) => samePull(known, pull)) === true
    );
  }

  state(): ReconcilerState {
    const { wanted, unknown, synced } = this;
    return {
      synced: synced.size === WORKLOAD_KINDS.length,
      objects: wanted.objectCount,
      images: wanted.imageCount,
      unknown: unknown.size,
    };
  }

  private reportPresence({ job, result }: CopyReport): void {
    const wanted = this.wanted.get(job.key);
    if (result.ok) {
      if (wanted?.certain === true) this.options.onPresence?.(job, result.digest);
    } else if (showsLack(job, result.failure)) this.options.onPresence?.(job, undefined);
    else if (wanted !== undefined) this.options.onNoAnswer?.(job);
  }

  private reportCopy({ job, result }: CopyReport, goneSince: number | undefined, mayWait: boolean): void {
    const users = this.wanted.topUsers(job.key, MAX_USERS);
    if (users.length === 0) {
      if (mayWait) setTimeout(() => this.reportCopy({ job, result }, goneSince, false), REPORT_DELAY_MS).unref();
      return;
    }
    const { source, target, reference } = job;
    const told = result.ok || goneSince === undefined ? result : { ...result, goneSince };
    this.options.onCopyUpdate({ source, target, reference: reference.text, users, result: told });
  }

  /** Runs with one configuration. */
  private async round(signal: AbortSignal): Promise<void> {
    const { configuration, access, log, want, now = Date.now } = this.options;
    const { config, rules } = configuration();
    this.wanted = new WantedImages();
    this.unknown.clear();
    this.synced.clear();
    this.agenda = new CopyAgenda({
      images: this.wanted,
      want,
      now,
      interval: config.reconcile.interval,
      refresh: config.mirror.refresh.interval,
      audit: config.mirror.audit.interval,
      onTagMoved: (target) => this.reports.recordMovedTag(target),
    });
    const agenda = config.dryRun ? undefined : this.agenda;
    const skipped = namespacesNotWatched(config, this.options.ownNamespace);
    const templates: Promise<void>[] = [];
    const runs = [...WORKLOAD_KINDS].reverse().map(async (kind) => {
      let listed: () => void = () => undefined;
      if (kind.kind !== 'Pod') templates.push(new Promise((resolve) => (listed = resolve)));
      else await Promise.race([Promise.all(templates), sleep(TEMPLATES_TIMEOUT_MS, signal, { ref: false })]);
      const reflector = new Reflector({
        ...access,
        path: kind.path,
        onRestart: () => this.reports.restarted(kind.kind),
        sink: this.sink(kind, rules, skipped, agenda, () => {
          listed();
          this.synced.add(kind.kind);
          if (this.synced.size === WORKLOAD_KINDS.length) this.logSynced();
        }),
        onProblem: (error) =>
          error === undefined
            ? log('info', `watching ${kind.kind}s again`)
            : log('warn', `watching ${kind.kind}s: ${error.message}${error.code === 403 ? FORBIDDEN : ''}`),
      });
      this.reflectors.set(kind.kind, reflector);
      await reflector.run(signal);
    });
    const ticking = agenda?.run(signal);
    await Promise.all([...runs, ticking]);
    this.agenda = undefined;
    this.wanted = new WantedImages();
    this.unknown.clear();
    this.options.used?.clear();
    this.synced.clear();
    this.reflectors.clear();
  }

  private report(): void {
    const { images, unknown } = this.state();
    const up = Object.fromEntries([...this.reflectors].map(([kind, reflector]) => [kind, reflector.up]));
    if (up['Pod'] === true) this.vanished.keep((key) => this.wanted.get(key) !== undefined);
    this.reports.report({ up, images, unknown, vanished: this.vanished.counts() });
  }

  private logSynced(): void {
    const { objects, images, unknown } = this.state();
    const lost = unknown === 0 ? '' : `; the source of ${unknown} images in targets is unknown`;
    this.options.log('info', `listed the cluster's workloads: ${objects} objects use ${images} images${lost}`);
  }

  private sink(
    kind: WorkloadKind,
    rules: Rules,
    skipped: ReadonlySet<string>,
    agenda: CopyAgenda | undefined,
    onListed: () => void,
  ): ObjectSink {
    const { wanted } = this;
    let generation = 0;
    let listing = false;
    return {
      listing: () => {
        generation += 1;
        listing = true;
      },
      listed: () => {
        listing = false;
        wanted.prune(kind.kind, generation);
        this.unknown.prune(kind.kind, generation);
        this.options.used?.prune(kind.kind, generation);
        onListed();
      },
      apply: (object) => {
        const identity = identify(kind, object);
        if (identity === undefined) return;
        const { reference, owner } = identity;
        const whole = kind.pod(object);
        const pod = skipped.has(reference.namespace) ? undefined : whole;
        const uses = pod === undefined ? NOTHING : this.usesOf(rules, pod, reference);
        const { used } = this.options;
        used?.put(
          reference.uid,
          kind.kind,
          whole === undefined ? [] : imagesUsedBy(rules, whole, uses.jobs),
          generation,
        );
        this.note(this.unknown.put(reference.uid, kind.kind, uses.unknown, generation));
        if (uses.jobs.length === 0) {
          wanted.remove(reference.uid);
          return;
        }
        const isNew = !wanted.has(reference.uid);
        const { fresh, otherPullKeys } = wanted.put(reference, owner, uses, generation);
        const rank = listing ? LISTED[kind.kind === 'Pod' ? 'pod' : 'template'] : NEW_RANK;
        agenda?.add(fresh, rank);
        agenda?.retry(otherPullKeys, rank);
        if (isNew)
          agenda?.prefer(
            uses.jobs.map(({ key }) => key),
            rank,
          );
        // New Pods request the current meaning of a tag; existing ones do not.
        if (isNew && !listing && kind.kind === 'Pod') {
          agenda?.refresh(uses.jobs.filter(({ force }) => force).map(({ key }) => key));
        }
      },
      remove: (object) => {
        const identity = identify(kind, object);
        if (identity === undefined) return;
        wanted.remove(identity.reference.uid);
        this.unknown.remove(identity.reference.uid);
        this.options.used?.remove(identity.reference.uid);
      },
    };
  }

  /** An object that cannot be parsed must not end the list of all others. */
  private usesOf(rules: Rules, pod: JsonObject, { kind, namespace, name }: ObjectReference): Uses {
    try {
      return usesOf(rules, this.sources, pod, namespace);
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (this.bugLines.shouldLog('')) this.options.log('warn', `${kind} ${namespace}/${name} is ignored: ${reason}`);
      return NOTHING;
    }
  }

  /** Logs images whose source cannot be found, up to a limit. */
  private note(images: readonly string[]): void {
    for (const image of images) {
      if ((this.unknownLines += 1) > MAX_LINES) return;
      this.options.log('debug', `${image}: the source of this image is unknown, so it is not kept up to date`);
    }
  }
}

/** A copy only asks the source, or the target's gate, about what the target lacks, unless it compares the two. */
function showsLack(job: MirrorJob, { host, reason }: CopyFailure): boolean {
  if (job.force) return false;
  return host === sourceHost(job) || (reason === 'gated' && job.presenceCheck === undefined);
}

function titleOf({ kind, namespace, name }: ObjectReference): string {
  return `${kind} ${namespace}/${name}`;
}

const NOTHING: Uses = { jobs: [], uncertain: new Set(), unknown: [] };
const FORBIDDEN = '; grant the service the verbs list and watch on them, or set reconcile.enabled: false';
