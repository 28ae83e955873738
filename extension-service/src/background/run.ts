import { parentPort } from 'node:worker_threads';
import type { CopyReport } from '../kubernetes/copy-report.js';
import { CopyFailedError } from '../registry/copy-failure.js';
import { PROGRAMS } from './programs/programs.js';
import type { RegistryLogin } from '../credentials/renewed-login.js';
import { RegistryError } from '../registry/errors.js';
import type { BlobChange } from '../registry/known-blobs.js';
import type { OnRegistryRequest } from '../registry/request-log.js';
import type { LoginCredentials } from '../registry/types.js';
import type { CloudEvent } from '../kinds/cloud.js';
import { RequestTally } from '../registry/request-tally.js';
import type { Copier, CopyProgress } from '../mirror/copier.js';
import type { ClusterEvent, BackgroundData, FromBackground, ToBackground } from './protocol.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { messageOf } from '../util/message-of.js';

/** A copier whose configuration may change between copies. */
export interface ConfigurableCopier extends Copier {
  /** The login of a cloud's registry, `target NAME` or `source HOST`; a new one if the current one is `refused`. */
  logIn(registry: string, refused: LoginCredentials | undefined): Promise<RegistryLogin>;
  /** Hands back copies that other replicas can make; running ones may finish within this many milliseconds. */
  drain(grace: number): Promise<void>;
  /** @throws Error if the configuration cannot be used; the previous one stays */
  configure(config: BackgroundData['config']): void;
}

/** Like `SourceAccessChecks.check`: never rejects. */
export type CheckAccess = (job: MirrorJob, digest: string | undefined, milliseconds: number) => Promise<SourceAccess>;

/** The worker's services for the main thread. */
export interface BackgroundParts {
  readonly copier: ConfigurableCopier;
  readonly readSecret: (name: string, namespace: string | undefined) => Promise<string>;
  /** The user of a token; undefined if the token is not valid for the audience. */
  readonly reviewToken: (token: string, audience: string) => Promise<string | undefined>;
  readonly checkAccess: CheckAccess;
  /** The names in the targets that the table in the cluster has. */
  readonly readTable: () => Promise<readonly string[]>;
  readonly cluster: ClusterPart;
  /** As in KnownBlobs. */
  readonly takeBlobChanges: () => readonly BlobChange[];
}

/** The worker's side in the cluster. */
export interface ClusterPart {
  configure(config: BackgroundData['config']): void;
  settled(report: CopyReport): void;
  copied(report: CopyReport): void;
  /** Releases the Lease; resolves when all writes are done. */
  stop(): Promise<void>;
}

/** Reports that the worker sends on its own. */
export interface BackgroundEvents {
  readonly log: BackgroundLog;
  readonly onCloudEvent: (event: CloudEvent) => void;
  readonly onClusterEvent: (event: ClusterEvent) => void;
  readonly onRequest: OnRegistryRequest;
}

export type BackgroundLog = (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;

/** Minimum time between two progress reports of a copy: a blob arrives in thousands of chunks. */
const PROGRESS_INTERVAL_MS = 200;

/** Time between two reports of requests to registries: one image takes dozens of requests. */
const REPORT_INTERVAL_MS = 1_000;

/** Runs in the worker thread: receives jobs from the main thread and answers each once. */
export function runBackground(
  data: BackgroundData,
  create: (data: BackgroundData, events: BackgroundEvents) => BackgroundParts,
): void {
  Object.assign(PROGRAMS, data.programs);
  const port = parentPort;
  if (port === null) throw new Error('runBackground must be called in a worker thread');
  const send = (message: FromBackground): void => port.postMessage(message);
  const log: BackgroundLog = (level, message) => send({ type: 'log', level, message });
  const tally = new RequestTally();
  setInterval(() => {
    const report = tally.take();
    if (report !== undefined) send({ type: 'requests', report });
    const changes = takeBlobChanges();
    if (changes.length > 0) send({ type: 'known-blobs', changes });
  }, REPORT_INTERVAL_MS).unref();
  const { copier, readSecret, reviewToken, checkAccess, readTable, cluster, takeBlobChanges } = create(data, {
    log,
    onCloudEvent: (event) => send({ type: 'cloud', event }),
    onClusterEvent: (event) => send({ type: 'cluster', event }),
    onRequest: (request) => tally.add(request),
  });
  const running = new Map<number, AbortController>();
  const answer = (id: number, what: string, work: Promise<FromBackground>): void => {
    void work.catch((error: unknown) => failure(id, error, what)).then(send);
  };

  port.on('message', (message: ToBackground) => {
    switch (message.type) {
      case 'configure':
        try {
          Object.assign(PROGRAMS, message.programs);
          copier.configure(message.config);
          cluster.configure(message.config);
        } catch (error) {
          log('error', `the background worker keeps the previous configuration: ${String(error)}`);
        }
        return;
      case 'settled':
        cluster.settled(message.report);
        return;
      case 'copied':
        cluster.copied(message.report);
        return;
      case 'drain': {
        const { id, grace } = message;
        answer(
          id,
          'the queue',
          copier.drain(grace).then((): FromBackground => ({ type: 'stopped', id })),
        );
        return;
      }
      case 'stop': {
        const { id } = message;
        answer(
          id,
          'the cluster',
          cluster.stop().then((): FromBackground => ({ type: 'stopped', id })),
        );
        return;
      }
      case 'cancel':
        running.get(message.id)?.abort();
        return;
      case 'read-secret': {
        const { id, name, namespace } = message;
        const work = readSecret(name, namespace).then((text): FromBackground => ({ type: 'secret', id, text }));
        answer(id, `Secret ${name}`, work);
        return;
      }
      case 'review-token': {
        const { id, token, audience } = message;
        const work = reviewToken(token, audience).then((name): FromBackground => ({ type: 'user', id, name }));
        answer(id, 'the token', work);
        return;
      }
      case 'read-table': {
        const { id } = message;
        answer(
          id,
          'the table',
          readTable().then((names): FromBackground => ({ type: 'table', id, names })),
        );
        return;
      }
      case 'check-access': {
        const { id, job, digest, milliseconds } = message;
        const work = checkAccess(job, digest, milliseconds).then((access): FromBackground => ({
          type: 'access',
          id,
          access,
        }));
        answer(id, job.source, work);
        return;
      }
      case 'log-in': {
        const { id, registry, refused } = message;
        const work = copier.logIn(registry, refused).then((login): FromBackground => ({ type: 'login', id, login }));
        answer(id, registry, work);
        return;
      }
      case 'copy': {
        const { id, job } = message;
        const abort = new AbortController();
        running.set(id, abort);
        const report = throttle((progress) => send({ type: 'progress', id, progress }));
        const work = copier
          .copy(job, abort.signal, report)
          .then((outcome): FromBackground => ({ type: 'done', id, outcome }))
          .finally(() => running.delete(id));
        answer(id, job.source, work);
        return;
      }
    }
  });
  send({ type: 'ready' });
}

function failure(id: number, error: unknown, what: string): FromBackground {
  if (error instanceof CopyFailedError) return { type: 'failed', id, failure: error.failure };
  const message = messageOf(error);
  if (error instanceof RegistryError) {
    const { kind: reason, retryable } = error;
    return { type: 'failed', id, failure: { reason, message: `${what}: ${message}`, retryable } };
  }
  return { type: 'failed', id, failure: { reason: 'internal', message: `${what}: ${message}`, retryable: true } };
}

function throttle(report: (progress: CopyProgress) => void): (progress: CopyProgress) => void {
  let last = 0;
  return (progress) => {
    const now = performance.now();
    if (now - last < PROGRESS_INTERVAL_MS) return;
    last = now;
    report(progress);
  };
}
