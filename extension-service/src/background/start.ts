import { ClusterSide } from './cluster-side.js';
import { connectCluster } from '../kubernetes/api.js';
import { clusterSeenStore } from '../kubernetes/first-seen-map.js';
import { LazyPullSecrets } from '../kubernetes/lazy-pull-secrets.js';
import { openClouds } from '../kinds/clouds.js';
import { ObservedPods } from '../kubernetes/observed-pods.js';
import { reviewToken } from '../kubernetes/token-review.js';
import { runBackground } from './run.js';
import type { CheckAccess } from './run.js';
import { KnownBlobs } from '../registry/known-blobs.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import { SharedCopier } from '../shared-queue/shared-copier.js';
import { compileRules } from '../core/decide/rules.js';
import { namingTarget } from '../kinds/registry-naming.js';
import { installOf } from './install-of.js';
import type { BackgroundData } from './protocol.js';
import { garbageOf } from './garbage.js';
import { LineBudget } from '../util/line-budget.js';
import { debounceNames } from './debounce-names.js';

/** Changes within this many milliseconds count as one. */
const ROTATION_DEBOUNCE_MS = 500;

/** Log lines about the Secrets of one namespace, whose users could change them endlessly. */
const SECRET_LINES = { burst: 100, perSecond: 0.1 };
const SECRET_LINES_OF_ALL = { burst: 1_000, perSecond: 10 };

/** Wires the background worker: registries, and the cluster's secrets once they are needed. */
export function startBackground(data: BackgroundData, env: Readonly<Record<string, string | undefined>>): void {
  runBackground(data, ({ config, knownBlobs: earlier }, { log, onCloudEvent, onClusterEvent, onRequest }) => {
    const report = (problem: string): void => log('warn', problem);
    const lines = new LineBudget(SECRET_LINES, SECRET_LINES_OF_ALL);
    const secrets = new LazyPullSecrets({
      env,
      reader: config.secretReader,
      watch: true,
      onProblem: (problem) => {
        const [, namespace = ''] = /^Secret ([^/\s]+)\//.exec(problem) ?? [];
        if (lines.take(namespace) !== undefined) report(problem);
      },
      onDebug: (message) => log('debug', message),
      onRotated: debounceNames(ROTATION_DEBOUNCE_MS, (namespaces) =>
        onClusterEvent({ kind: 'pull-secrets-changed', namespaces }),
      ),
    });
    const readSecret = (name: string, namespace: string | undefined): Promise<string> => secrets.named(name, namespace);
    let inForce = config;
    // Registries ask for the number of replicas while they are opened, before there is a queue.
    let shared: SharedCopier | undefined = undefined;
    const replicas = (): number => shared?.replicas ?? 1;
    const cloud = openClouds({ env, onEvent: onCloudEvent, report, replicas });
    const garbage = garbageOf(() => copier.currentRegistries);
    const checkAccess: CheckAccess = (job, digest, milliseconds) => copier.checkAccess(job, digest, milliseconds);
    const cluster = new ClusterSide(config, { env, log, garbage, checkAccess, emit: onClusterEvent });
    const connect = lazy(() => connectCluster(env));
    const shown = new ObservedPods({ watched: (job) => cluster.shows(job), connect, onProblem: report });
    const knownBlobs = new KnownBlobs(earlier);
    const copier = new RegistryCopier(config, {
      ...{ env, readSecret, report, cloud, onRequest, replicas, knownBlobs },
      pullSecrets: secrets,
      isShown: (job) => shown.isShown(job),
      seenStore: clusterSeenStore(env),
    });
    const sharedCopier = new SharedCopier({
      ...{ config, copier, log },
      rulesOf: (current) => compileRules(current, namingTarget),
      isShown: (job) => shown.isShown(job),
      readSecretKey: (name, key) => secrets.key(name, key),
      install: () => installOf(connect, inForce),
      onReport: (queue) => {
        onClusterEvent({ kind: 'queue-server', report: queue });
        if (!queue.isUp) void cluster.queueLost(queue.message);
      },
    });
    shared = sharedCopier;
    copier.start();
    cluster.start();
    return {
      copier: {
        copy: (job, signal, onProgress) => sharedCopier.copy(job, signal, onProgress),
        logIn: (registry, refused) => copier.logIn(registry, refused),
        drain: (grace) => sharedCopier.drain(grace),
        configure: (next) => {
          copier.configure(next);
          inForce = next;
          sharedCopier.configure(next);
        },
      },
      readSecret,
      cluster,
      checkAccess,
      readTable: () => cluster.readTable(),
      takeBlobChanges: () => knownBlobs.takeChanges(),
      reviewToken: (token, audience) => reviewToken(connect, token, audience),
    };
  });
}

/** Opens once; retries after a failure. */
function lazy<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => {
    if (opened !== undefined) return opened;
    const opening = open();
    opened = opening;
    opening.catch(() => (opened = undefined));
    return opening;
  };
}
