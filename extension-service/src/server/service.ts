import { X509Certificate } from 'node:crypto';
import type { Config } from '../core/config/model.js';
import { SERVED_ROUTES, openEngineRoute, openRouteWarning } from '../core/engines/access.js';
import { compileRules } from '../core/decide/rules.js';
import type { Rules } from '../core/decide/rules.js';
import { copyReport } from '../background/copy-report.js';
import type { CopyReport } from '../kubernetes/copy-report.js';
import { usesImageTable } from '../kubernetes/image-table/uses-image-table.js';
import { namespacesNotWatched } from '../kubernetes/workloads/namespaces.js';
import { CopyGate } from '../mirror/copy-gate.js';
import type { CopyRole } from '../mirror/copy-gate.js';
import type { ClusterEvent } from '../background/protocol.js';
import type { LoadedConfig } from '../config/load.js';
import { storedLimits } from '../shared-queue/limits.js';
import { CONFIGURATION_REASONS, CREDENTIAL_REASONS, MirrorQueue } from '../mirror/queue.js';
import type { MirrorResult } from '../mirror/status.js';
import type { Copier } from '../mirror/copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { ExistenceIndex } from '../targets/existence.js';
import type { TargetLookup } from '../targets/existence.js';
import { CopyFailureLines } from '../mirror/failure-log.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import { Admission } from './admission.js';
import { admissionApp, operationsApp } from './app.js';
import type { MirrorsAnswer } from './app.js';
import { explainRequest } from './explain.js';
import { PublishedTable } from './published-table.js';
import { TableKnowledge } from './table-knowledge.js';
import { UnreadTable } from './unread-table.js';
import { explainText } from './explain-text.js';
import { gatekeeperRules } from './gatekeeper-rules.js';
import type { GatekeeperRules } from './gatekeeper-rules.js';
import { leaderWillCopy } from './leader-will-copy.js';
import { PolicyWatch } from './policy-watch.js';
import { policyHashes } from '../core/engines/config-hashes.js';
import { Callers } from './callers.js';
import { ClientCertificates } from './client-certificates.js';
import type { ClientRules } from './client-certificates.js';
import { closeServer, createServer, listen, secureContext } from './listen.js';
import type { AnyServer, ServerTls, TlsPair } from './listen.js';
import { admissionListener } from './listener.js';
import { admissionRoutes } from './routes.js';
import { SourceAccessGate } from './source-access.js';
import { sleep } from '../util/sleep.js';
import { namingTarget } from '../kinds/registry-naming.js';
import { TokenReviews } from './token-reviews.js';

export interface ServiceDependencies {
  readonly loaded: LoadedConfig;
  readonly copier: Copier & {
    configure(config: Config): void;
    reportCopy(type: 'settled' | 'copied', report: CopyReport): void;
    reviewToken(token: string, audience: string): Promise<string | undefined>;
    readTable(): Promise<readonly string[]>;
    checkAccess(job: MirrorJob, digest: string | undefined, milliseconds: number): Promise<SourceAccess>;
    /** Hands back copies that other replicas can make; running ones may finish within this many milliseconds. */
    drain(grace: number): Promise<void>;
    /** Releases the Lease; secrets and logins remain available. */
    leaveCluster(): Promise<void>;
    stop(): Promise<void>;
  };
  /** The replica's role for copies until the cluster's state is known. */
  readonly role: CopyRole;
  readonly lookup: TargetLookup & { configure(config: Config): void };
  /** The files of `loaded`. @default none */
  readonly clients?: ClientRules;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface ServiceAddresses {
  /** `--listen-address` with the TLS pair, or plain HTTP without one. */
  readonly admission: string;
  readonly tls?: TlsPair;
  readonly metrics: string;
  /** A second, plain listener for the admission routes. */
  readonly http?: string;
}

/** Milliseconds. */
export interface StopTimes {
  /** For answers and copies in flight, in total. */
  readonly grace: number;
  /** Of these, how long new connections are accepted: callers learn later that this replica is stopping. */
  readonly lameDuck: number;
}

/** The part of the grace period, in milliseconds, that is reserved for handing jobs back to a queue server. */
const HAND_BACK_MS = 3_000;

interface ActiveSettings {
  readonly config: Config;
  readonly rules: Rules;
  readonly gatekeeper: GatekeeperRules;
  readonly policies: ReturnType<typeof policyHashes>;
  /** Namespaces that the leader ignores. */
  readonly notWatched: ReadonlySet<string>;
}

/** The extension service: what `serve` runs, without flags, files and signals. */
export class Service {
  private inForce: ActiveSettings;
  private readonly queue: MirrorQueue;
  private readonly gate: CopyGate;
  private readonly existence: ExistenceIndex;
  private readonly access: SourceAccessGate;
  private readonly servers: { readonly server: AnyServer; readonly tls: boolean }[] = [];
  /** A target that is down fails for every Pod, so this is logged once a minute. */
  private readonly failureLines = new LogRateLimiter(60_000);
  private readonly clients: ClientCertificates;
  private tls: TlsPair | undefined;
  private readonly copyFailures: CopyFailureLines;
  private stopping = false;
  /** The last warning about a route without authentication. */
  private openRoute: string | undefined;
  /** The holder of the Lease, according to the last report. */
  private holder: string | undefined;
  private readonly table = new TableKnowledge();
  private readonly published = new PublishedTable({ read: () => this.dependencies.copier.readTable() });
  /** Number of replicas that copy, according to the queue server; 1 without one. */
  private replicas = 1;

  constructor(private readonly dependencies: ServiceDependencies) {
    const { loaded, copier, lookup, log, metrics } = dependencies;
    this.inForce = compile(loaded.config);
    this.clients = new ClientCertificates(dependencies.clients ?? {}, Date.now);
    this.copyFailures = new CopyFailureLines(log);
    this.existence = new ExistenceIndex(lookup, {
      onLookup: (target, outcome) => countLookup(metrics, target, outcome),
      onFailure: (target, reason, message) => {
        if (this.failureLines.shouldLog(`${target} ${reason}`))
          log.warn({ target, reason, err: message }, 'target lookup failed');
      },
    });
    this.access = new SourceAccessGate((...asked) => copier.checkAccess(...asked), Date.now);
    this.queue = new MirrorQueue(copier, {
      ...storedLimits(loaded.config, 1),
      events: {
        onDone: (job, result, milliseconds, attempt) => this.copied(job, result, milliseconds, attempt),
        onRefused: ({ target }) => metrics.queueRefused.inc({ target }),
      },
    });
    this.gate = new CopyGate(this.queue, dependencies.role, (job, wish) => leaderWillCopy(this.inForce, job, wish));
  }

  /** @throws ListenError if an address cannot be used; already opened ones are closed again */
  async start(addresses: ServiceAddresses): Promise<void> {
    const { log, metrics } = this.dependencies;
    const admission = new Admission({
      current: () => this.inForce,
      existence: this.existence,
      access: (...asked) => this.access.check(...asked),
      enqueue: (job, wish) => this.gate.enqueue(job, wish),
      now: Date.now,
    });
    const callers = new Callers({
      current: () => this.inForce.config,
      certificates: this.clients,
      tokens: new TokenReviews((token, audience) => this.dependencies.copier.reviewToken(token, audience), Date.now),
      onReviewFailure: (message) => {
        if (this.failureLines.shouldLog('token-review'))
          log.warn(
            { err: message },
            "Kyverno's token cannot be checked: its requests count as those of an unknown caller",
          );
      },
      now: Date.now,
    });
    const listener = admissionListener({
      routes: admissionRoutes({
        admission,
        gatekeeperRules: (profile) => this.inForce.gatekeeper(profile),
        policies: new PolicyWatch(
          () => this.inForce.policies,
          metrics,
          log,
          () => this.inForce.config.policies.manage,
        ),
        unreadTable: new UnreadTable({
          current: () => this.inForce.config,
          find: (name) => this.table.find(name) ?? this.published.find(name),
          ...{ metrics, log },
        }),
        log,
        metrics,
      }),
      callers,
      app: admissionApp({ explain: (body, output) => this.explain(body, output), readers: callers, log }),
      log,
      metrics,
      stopping: () => this.stopping,
    });
    const operations = operationsApp({
      metrics,
      refreshGauges: () => this.refreshGauges(),
      ready: () => !this.stopping,
      mirrors: () => this.mirrors(),
      readers: callers,
      log,
    });
    this.warnOfOpenRoute();
    this.tls = addresses.tls;
    if (addresses.tls !== undefined) metrics.tlsExpiry.set(expiryOf(addresses.tls));
    try {
      await this.open(createServer(operations), addresses.metrics, '--metrics-address', 'operations');
      await this.open(
        createServer(listener, addresses.tls && this.serverTls(addresses.tls)),
        addresses.admission,
        '--listen-address',
        'admission',
        addresses.tls,
      );
      if (addresses.http !== undefined) {
        await this.open(createServer(listener), addresses.http, '--http-listen-address', 'admission');
      }
    } catch (error) {
      await Promise.all(this.servers.map(({ server }) => closeServer(server, 0)));
      throw error;
    }
  }

  /** Applies a new configuration between two requests. @throws Error if it cannot be used; the previous one stays */
  configure(loaded: LoadedConfig, clients: ClientRules = {}): void {
    const next = compile(loaded.config);
    this.clients.check(clients);
    // May throw, for an unreadable CA file: then nothing has changed.
    this.dependencies.lookup.configure(loaded.config);
    const { metrics } = this.dependencies;
    const previous = this.inForce.config;
    this.inForce = next;
    this.warnOfOpenRoute();
    this.dependencies.copier.configure(loaded.config);
    this.access.forget();
    if (!usesImageTable(loaded.config)) this.table.forget();
    this.published.forget();
    if (previous.queue.type !== loaded.config.queue.type) {
      metrics.queueServerUp.reset();
      metrics.queueServerReplicas.reset();
    }
    this.queue.setLimits(storedLimits(loaded.config, this.replicas));
    this.queue.retryNow(CONFIGURATION_REASONS);
    if (this.clients.replace(clients) && this.tls !== undefined) this.setTls(this.tls);
  }

  /** The engine's own route is always served, so that Pods are still swapped. */
  private warnOfOpenRoute(): void {
    const { log, metrics } = this.dependencies;
    const { config } = this.inForce;
    const open = openEngineRoute(config);
    for (const route of SERVED_ROUTES) metrics.openRoutes.set({ route }, route === open ? 1 : 0);
    const warning = openRouteWarning(config);
    if (warning !== undefined && warning !== this.openRoute) log.warn({ route: open }, warning);
    this.openRoute = warning;
  }

  /** Handles events of the cluster side: the copying replica, and the workloads' images. */
  clusterEvent(
    event: Extract<ClusterEvent, { kind: 'role' | 'wanted' | 'pull-secrets-changed' | 'image-table' | 'queue-server' }>,
  ): void {
    const { copier, log, metrics } = this.dependencies;
    if (event.kind === 'image-table') {
      if (usesImageTable(this.inForce.config)) this.table.learn(event.report, Date.now());
      return;
    }
    if (event.kind === 'queue-server') {
      const { report } = event;
      this.replicas = report.isUp ? report.replicas : 1;
      const { type } = this.inForce.config.queue;
      metrics.queueServerUp.set({ type }, report.isUp ? 1 : 0);
      metrics.queueServerReplicas.set({ type }, report.isUp ? report.replicas : 0);
      this.queue.setLimits(storedLimits(this.inForce.config, this.replicas));
      return;
    }
    if (event.kind === 'role') {
      const { role, holder } = event;
      this.holder = holder;
      metrics.leader.set(isCopier(role));
      if (this.stopping) return;
      const changed = role !== this.gate.current;
      if (role !== 'leader') this.table.forget();
      else this.published.forget();
      const handedBack = this.gate.setRole(role).length;
      if (!changed) return;
      log.info({ role, ...(holder !== undefined && { holder }), ...(handedBack > 0 && { handedBack }) }, ROLES[role]);
      return;
    }
    if (event.kind === 'pull-secrets-changed') {
      this.queue.retryNow(CREDENTIAL_REASONS, new Set(event.namespaces));
      return;
    }
    // The next leader finds them again.
    if (this.stopping) return;
    for (const job of event.jobs) {
      void this.queue.enqueue(job).then((result) => copier.reportCopy('settled', this.report(job, result)));
    }
  }

  /** New connections get the new certificate; open ones continue. @returns whether any listener uses TLS */
  setTls(pair: TlsPair): boolean {
    this.tls = pair;
    const servers = this.servers.flatMap(({ server, tls }) => (tls && 'setSecureContext' in server ? [server] : []));
    for (const server of servers) server.setSecureContext(secureContext(this.serverTls(pair)));
    if (servers.length > 0) this.dependencies.metrics.tlsExpiry.set(expiryOf(pair));
    return servers.length > 0;
  }

  private serverTls(pair: TlsPair): ServerTls {
    return { ...pair, clientAuthorities: this.clients.authorities };
  }

  mirrors(): MirrorsAnswer {
    const leader = this.leader();
    return { ...(leader !== undefined && { leader }), mirrors: this.queue.list() };
  }

  /**
   * Becomes unready and starts no copies at once. Running copies finish within the grace period, the others are left to
   * the next one to find them missing: another replica, the next start, the next Pod. Releasing the Lease takes no longer than
   * that. Admissions are answered meanwhile.
   */
  async stop({ grace, lameDuck }: StopTimes): Promise<void> {
    const { log, copier } = this.dependencies;
    this.stopping = true;
    const started = Date.now();
    await Promise.all([this.stopAnswering(grace, lameDuck), this.stopCopying(grace)]);
    await copier.stop();
    // The operations port closes last: until then /readyz answers "stopping" and the last metrics can be scraped.
    await Promise.all(this.servers.slice(0, 1).map(({ server }) => closeServer(server, 1_000)));
    log.info({ milliseconds: Date.now() - started }, 'stopped');
  }

  private async stopAnswering(grace: number, lameDuck: number): Promise<void> {
    if (lameDuck > 0) await sleep(lameDuck);
    const left = Math.max(0, grace - lameDuck);
    await Promise.all(this.servers.slice(1).map(({ server }) => closeServer(server, left)));
  }

  private async stopCopying(grace: number): Promise<void> {
    const { log, copier } = this.dependencies;
    const [left] = await Promise.all([this.queue.stop(grace), copier.drain(Math.max(0, grace - HAND_BACK_MS))]);
    if (left.length > 0)
      log.warn({ images: left.map((job) => job.source).slice(0, 50) }, `${left.length} copies returned to the queue`);
    await copier.leaveCluster();
  }

  private async open(server: AnyServer, address: string, flag: string, purpose: string, tls?: TlsPair): Promise<void> {
    const { log } = this.dependencies;
    this.servers.push({ server, tls: tls !== undefined });
    const { address: host, port, family } = await listen(server, address, flag);
    server.on('tlsClientError', (error: Error) => log.debug({ err: error.message }, 'TLS handshake failed'));
    const at = family === 'IPv6' ? `[${host}]:${port}` : `${host}:${port}`;
    log.info({ purpose, address: at, protocol: tls === undefined ? 'http' : 'https' }, 'listening');
  }

  private async explain(body: unknown, output: 'json' | 'text'): Promise<unknown> {
    const answer = await explainRequest(body, this.inForce, {
      find: (target, reference, deadline) => this.existence.find(target, reference, deadline),
      access: (...asked) => this.access.check(...asked),
      findCopy: (key) => this.queue.find(key),
      findInTable: (name) => this.table.find(name),
    });
    return output === 'text' ? `${explainText(answer, Date.now())}\n` : answer;
  }

  private copied(job: MirrorJob, result: MirrorResult, milliseconds: number, attempt: number): void {
    const { copier, log, metrics } = this.dependencies;
    const { source, target } = job;
    copier.reportCopy('copied', this.report(job, result));
    if (result.ok) {
      const { digest, upToDate, bytes, repaired, unfinished = [] } = result.outcome;
      this.existence.learn(job.reference, digest);
      metrics.copies.inc({ target, outcome: upToDate ? 'up-to-date' : repaired === undefined ? 'copied' : 'repaired' });
      if (repaired !== undefined) metrics.repairs.inc({ target });
      if (unfinished.length > 0) metrics.unfinishedReferrers.inc({ target }, unfinished.length);
      metrics.copySeconds.observe({ target }, milliseconds / 1_000);
      metrics.copyBytes.inc({ target, kind: 'uploaded' }, bytes.uploaded);
      metrics.copyBytes.inc({ target, kind: 'mounted' }, bytes.mounted);
      metrics.copyBytes.inc({ target, kind: 'skipped' }, bytes.skipped);
      log[upToDate ? 'debug' : 'info'](
        { source, mirroredTo: job.reference.text, digest, milliseconds, bytes },
        'mirrored',
      );
      return;
    }
    // Copies that were abandoned with their registry were not attempted.
    if (attempt > 0) metrics.copies.inc({ target, outcome: result.failure.reason });
    const { gate } = result.failure;
    if (gate !== undefined) metrics.gateRefusals.inc({ target, check: gate.check, verdict: gate.verdict });
    this.copyFailures.failed(job, result.failure, attempt);
  }

  /** Undefined if no Lease determines who copies. */
  private leader(): MirrorsAnswer['leader'] {
    const { current } = this.gate;
    if (current === 'alone' || current === 'starting') return undefined;
    return { leading: current === 'leader', holder: this.holder };
  }

  private report(job: MirrorJob, result: MirrorResult): CopyReport {
    return copyReport(job, result, this.queue.find(job.key));
  }

  private refreshGauges(): void {
    for (const [state, count] of Object.entries(this.queue.counts())) {
      this.dependencies.metrics.queueDepth.set({ state }, count);
    }
    const { gated } = this.dependencies.metrics;
    gated.reset();
    for (const { target, verdict, count } of this.queue.gated()) gated.set({ target, verdict }, count);
    this.dependencies.metrics.queueOldestAge.set(this.queue.oldestAge() / 1_000);
  }
}

/** Also 1 if no Lease is available: that is not a problem. */
function isCopier(role: CopyRole): 0 | 1 {
  return role === 'leader' || role === 'alone' ? 1 : 0;
}

const ROLES: Readonly<Record<CopyRole, string>> = {
  starting: 'waiting for leader election',
  alone: 'making copies for admission requests',
  leader: 'leader: making copies for the cluster',
  follower: 'another replica makes the copies',
};
function countLookup(metrics: Metrics, target: string, outcome: string): void {
  metrics.lookups.inc({ target, outcome });
  (outcome.endsWith('-memory') ? metrics.lookupHits : metrics.lookupMisses).inc({ target });
}

/** In seconds since the epoch. */
function expiryOf({ cert }: TlsPair): number {
  return Date.parse(new X509Certificate(cert).validTo) / 1_000;
}

function compile(config: Config): ActiveSettings {
  const rules = compileRules(config, namingTarget);
  return {
    config,
    rules,
    gatekeeper: gatekeeperRules(config, rules),
    policies: policyHashes(config, namingTarget),
    notWatched: namespacesNotWatched(config),
  };
}
