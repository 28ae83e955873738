import type { Config } from '../core/config/model.js';
import { hasCluster, isInPod } from '../kubernetes/api.js';
import { writesIntoCluster } from '../kubernetes/leader-tasks.js';
import { managedPoliciesProblem } from '../kubernetes/managed-policies/check.js';
import { registriesOf } from '../core/config/registries.js';
import { RenewedLogin } from '../credentials/renewed-login.js';
import { formatProblem } from '../config/problem.js';
import { BackgroundWorker } from '../background/worker.js';
import { readClientRules } from '../server/client-certificates.js';
import type { ClientRules } from '../server/client-certificates.js';
import type { ClusterEvent } from '../background/protocol.js';
import { AwaitedCertificate, NoCertificateError } from '../server/awaited-certificate.js';
import type { TlsPair } from '../server/listen.js';
import { ListenError } from '../server/listen.js';
import { Service } from '../server/service.js';
import { TlsFileError, checkTlsPair, readTlsPair } from '../server/tls.js';
import { readFiles, watchFiles } from '../server/watch-files.js';
import type { WatchedFile } from '../server/watch-files.js';
import { cloudScope, usesCloud } from '../kinds/clouds.js';
import { namedFiles } from '../server/named-files.js';
import { RegistryLookup } from '../targets/registry-lookup.js';
import { cloudEvents } from '../background/cloud-events.js';
import { flush } from '../telemetry/log.js';
import { createMetrics } from '../telemetry/metrics.js';
import { requestMetrics } from '../telemetry/registry-requests.js';
import { showGarbage, showUsageWriters } from '../background/garbage-metrics.js';
import { hideImageTable, showImageTable } from '../background/image-table-metrics.js';
import { EMPTY_WATCH_REPORT, showWatches } from '../background/watch-metrics.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, logger } from './context.js';
import { CliError, EXIT } from './exit.js';
import { usesImageTable } from '../kubernetes/image-table/uses-image-table.js';
import { messageOf } from '../util/message-of.js';

export interface ServeFlags extends ConfigFlags {
  readonly listenAddress: string;
  readonly metricsAddress: string;
  readonly httpListenAddress?: string;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
}

/** Milliseconds between two checks of the configuration and certificate files. */
const POLL_INTERVAL_MS = 1_000;
/**
 * Time limit in milliseconds for requests and copies in flight at SIGTERM; by default Kubernetes kills the Pod after 30
 * s.
 */
const SHUTDOWN_TIMEOUT_MS = 25_000;
/**
 * Of these, how long a Pod still accepts new connections: each node's kube-proxy, and every cloud's load balancer,
 * removes the endpoint in its own time. Outside a cluster no such list exists, so Ctrl-C stops the service at once.
 */
const LAME_DUCK_MS = 5_000;
/** How long, in milliseconds, a replica waits for the certificate of `tls.mode: selfSigned`. */
export const FIRST_CERTIFICATE_TIMEOUT_MS = 60_000;

/** Runs the extension service until SIGTERM or SIGINT; resolves when it has stopped cleanly. */
export async function serve(context: CommandContext, flags: ServeFlags): Promise<void> {
  const tlsFiles = tlsFilesOf(flags);
  const loaded = await load(context, flags);
  checkCluster(loaded.config, context.env, tlsFiles !== undefined);
  const log = logger(loaded);
  for (const warning of loaded.warnings) log.warn(formatProblem(warning));
  if (loaded.config.dryRun) log.warn('dryRun is on: Pods keep their images and nothing is copied');

  const clients = await readClients(loaded.config, tlsFiles !== undefined || loaded.config.tls.mode === 'selfSigned');
  const metrics = createMetrics();
  const { onRequest, onReport } = requestMetrics(metrics);
  const awaited = new AwaitedCertificate();
  const copier: BackgroundWorker = new BackgroundWorker(loaded.config, log, {
    onCloudEvent: cloudEvents(log, metrics),
    onClusterEvent: clusterEvent,
    onRequests: onReport,
    onRestart: () => {
      metrics.copyThreadRestarts.inc();
      showWatches(metrics, EMPTY_WATCH_REPORT);
    },
  });
  const lookup = new RegistryLookup(loaded.config, {
    env: context.env,
    readSecret: (name, namespace) => copier.readSecret(name, namespace),
    report: (problem) => log.warn(problem),
    onRequest,
    cloud: (registry, name) => {
      const scope = cloudScope(registry, name);
      return scope && { ...scope, login: new RenewedLogin((refused) => copier.logIn(name, refused)) };
    },
  });
  const clustered = hasCluster(context.env);
  const service: Service = new Service({
    loaded,
    copier,
    lookup,
    clients,
    log,
    metrics,
    role: clustered && loaded.config.reconcile.enabled ? 'starting' : 'alone',
  });
  // The current configuration; a change during startup counts as a change.
  const named = await readFiles(namedFiles(loaded.config, context.env));
  if (clustered || startsWorkerEarly(loaded.config)) copier.warm();
  const stop = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  try {
    const tls = await Promise.race([firstTls(), stop]);
    if (typeof tls === 'string') {
      await copier.stop();
      await flush(log);
      return;
    }
    await service.start({
      admission: flags.listenAddress,
      metrics: flags.metricsAddress,
      ...(tls !== undefined && { tls }),
      ...(flags.httpListenAddress !== undefined && { http: flags.httpListenAddress }),
    });
    // The configuration may have changed in the meantime.
    if (awaited.latest !== undefined && awaited.latest !== tls) presentTls(awaited.latest, 'the cluster');
    const watches = [
      ...(tls !== undefined && tlsFiles !== undefined ? [watchTls(tlsFiles, tls)] : []),
      ...(loaded.file === undefined ? [] : [watchConfig(loaded.file, [loaded.text ?? '', ...named])]),
    ];
    const signal = await stop;
    log.info({ signal }, 'stopping');
    for (const watch of watches) watch.stop();
    await service.stop({ grace: SHUTDOWN_TIMEOUT_MS, lameDuck: isInPod(context.env) ? LAME_DUCK_MS : 0 });
    await flush(log);
  } catch (error) {
    await copier.stop();
    await flush(log);
    if (error instanceof TlsFileError) throw new CliError(EXIT.usage, error.message);
    if (error instanceof NoCertificateError) throw new CliError(EXIT.infrastructure, error.message);
    if (error instanceof ListenError) throw new CliError(EXIT.infrastructure, error.message);
    throw error;
  }

  function clusterEvent(event: ClusterEvent): void {
    switch (event.kind) {
      case 'serving-certificate':
        awaited.take(event.pair);
        presentTls(event.pair, 'the cluster');
        return;
      case 'serving-certificate-problem':
        awaited.fail(event.message);
        return;
      case 'image-table':
        showImageTable(metrics, event.report);
        service.clusterEvent(event);
        return;
      case 'garbage':
        showGarbage(metrics, event.results);
        return;
      case 'usage-writers':
        showUsageWriters(metrics, event.writers);
        return;
      case 'role':
        if (event.role !== 'leader') {
          showGarbage(metrics, []);
          showUsageWriters(metrics, new Map());
          hideImageTable(metrics);
        }
        service.clusterEvent(event);
        return;
      case 'watches':
        showWatches(metrics, event.report);
        return;
      default:
        service.clusterEvent(event);
    }
  }

  async function firstTls(): Promise<TlsPair | undefined> {
    if (loaded.config.tls.mode === 'selfSigned') return awaited.first(FIRST_CERTIFICATE_TIMEOUT_MS);
    return tlsFiles && readTlsPair(...tlsFiles);
  }

  /** Applies to new connections; has no effect before the service listens. */
  function presentTls(pair: TlsPair, origin: string): void {
    if (!service.setTls(pair)) return;
    metrics.tlsReloads.inc({ outcome: 'success' });
    log.info({ file: origin }, 'serving certificate reloaded');
  }

  function watchTls(files: readonly [string, string], known: TlsPair): { stop(): void } {
    return watchFiles(
      () => files,
      [known.cert, known.key],
      POLL_INTERVAL_MS,
      ([cert = '', key = '']) => {
        checkTlsPair({ cert, key }, ...files);
        presentTls({ cert, key }, files[0]);
      },
      (error) => {
        metrics.tlsReloads.inc({ outcome: 'failure' });
        log.error({ err: messageOf(error) }, 'serving certificate not reloaded; still using the previous one');
      },
    );
  }

  function watchConfig(file: string, known: readonly string[]): { stop(): void } {
    let { config } = loaded;
    const files = (): readonly WatchedFile[] => [file, ...namedFiles(config, context.env)];
    return watchFiles(
      files,
      known,
      POLL_INTERVAL_MS,
      async () => {
        const next = await load(context, { ...flags, config: file });
        checkCluster(next.config, context.env, tlsFiles !== undefined);
        if (next.config.tls.mode !== loaded.config.tls.mode) log.warn('tls.mode: changing it requires a restart');
        if (startsWorkerEarly(next.config)) copier.warm();
        service.configure(next, await readClientRules(next.config.tls.clients));
        if (!usesImageTable(next.config)) hideImageTable(metrics);
        ({ config } = next);
        metrics.configReloadSuccess.inc();
        for (const warning of next.warnings) log.warn(formatProblem(warning));
        log.info({ file }, 'configuration reloaded');
      },
      (error) => {
        metrics.configReloadFailure.inc();
        log.error({ file, err: messageOf(error) }, 'configuration not reloaded; still using the previous one');
      },
    );
  }
}

/** Whether the background worker has work before the first copy is asked for: logins, and copies that others ask for. */
function startsWorkerEarly(config: Config): boolean {
  return config.queue.type !== 'memory' || registriesOf(config).some(usesCloud);
}

async function readClients({ tls }: Config, isTls: boolean): Promise<ClientRules> {
  try {
    const rules = await readClientRules(tls.clients);
    if (isTls || Object.keys(rules).length === 0) return rules;
  } catch (error) {
    if (error instanceof TlsFileError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
  throw new CliError(
    EXIT.usage,
    'tls.clients: client certificates require TLS: set --tls-cert-file and --tls-key-file',
  );
}

/**
 * @throws CliError if the objects that the service must write to the cluster cannot be rendered, or there is no cluster
 */
function checkCluster(config: Config, env: CommandContext['env'], hasTlsFiles: boolean): void {
  const selfSigned = config.tls.mode === 'selfSigned';
  if (selfSigned && hasTlsFiles) {
    throw new CliError(EXIT.usage, 'tls.mode is selfSigned: leave out --tls-cert-file and --tls-key-file');
  }
  const problem = managedPoliciesProblem(config);
  if (problem !== undefined) throw new CliError(EXIT.usage, `policies.manage is true, but ${problem}`);
  if (writesIntoCluster(config) && !hasCluster(env)) {
    const key = selfSigned ? 'tls.mode is selfSigned' : 'policies.manage is true';
    throw new CliError(EXIT.infrastructure, `${key}, but there is no cluster: run in a Pod, or set KUBECONFIG`);
  }
}

function tlsFilesOf({ tlsCertFile, tlsKeyFile }: ServeFlags): readonly [string, string] | undefined {
  if (tlsCertFile === undefined && tlsKeyFile === undefined) return undefined;
  if (tlsCertFile === undefined || tlsKeyFile === undefined) {
    throw new CliError(EXIT.usage, 'set both --tls-cert-file and --tls-key-file, or neither for plain HTTP');
  }
  return [tlsCertFile, tlsKeyFile];
}
