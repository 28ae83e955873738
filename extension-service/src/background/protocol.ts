import type { Config } from '../core/config/model.js';
import type { RegistryLogin } from '../credentials/renewed-login.js';
import type { LoginCredentials } from '../registry/types.js';
import type { CloudEvent } from '../kinds/cloud.js';
import type { Programs } from './programs/programs.js';
import type { CopyReport } from '../kubernetes/copy-report.js';
import type { ServingPair } from '../kubernetes/serving-certificate/serving-certificate.js';
import type { TableReport } from '../kubernetes/image-table/mirrored-images.js';
import type { TargetGarbage } from '../kubernetes/usage/garbage-task.js';
import type { WatchReport } from '../kubernetes/workloads/watch-reports.js';
import type { CopyRole } from '../mirror/copy-gate.js';
import type { QueueReport } from '../shared-queue/shared-queue.js';
import type { BlobChange } from '../registry/known-blobs.js';
import type { RequestReport } from '../registry/request-tally.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import type { CopyOutcome, CopyProgress } from '../mirror/copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';

/** Messages from the worker's cluster side to the main thread. */
export type ClusterEvent =
  /** `holder` of the Lease, if known. */
  | { readonly kind: 'role'; readonly role: CopyRole; readonly holder?: string }
  /** Copies that the cluster's workloads need; each is answered by `settled`. */
  | { readonly kind: 'wanted'; readonly jobs: readonly MirrorJob[] }
  /** With a queue server: whether it can be used, and by how many replicas. */
  | { readonly kind: 'queue-server'; readonly report: QueueReport }
  /** The reconciler's view of the cluster. */
  | { readonly kind: 'watches'; readonly report: WatchReport }
  /** The API server's table of images was written. */
  | { readonly kind: 'image-table'; readonly report: TableReport }
  /** The leader has written its usage records: the number of installations that write each target's. */
  | { readonly kind: 'usage-writers'; readonly writers: ReadonlyMap<string, number> }
  /** The leader's garbage collection has finished. */
  | { readonly kind: 'garbage'; readonly results: readonly TargetGarbage[] }
  /** Pods in these namespaces may now pull with other credentials. */
  | { readonly kind: 'pull-secrets-changed'; readonly namespaces: readonly string[] }
  /** With `tls.mode: selfSigned`: present this certificate from now on. */
  | { readonly kind: 'serving-certificate'; readonly pair: ServingPair }
  /** The reason why the worker has no certificate. */
  | { readonly kind: 'serving-certificate-problem'; readonly message: string };

/** Data that crosses between the main thread and the background worker: plain data only. */
export interface BackgroundData {
  readonly role: 'background';
  readonly config: Config;
  /** Source texts of clients, which the worker compiles when it needs them. */
  readonly programs: Programs;
  /** The blobs that earlier workers of this process knew. */
  readonly knownBlobs: readonly BlobChange[];
}

export type ToBackground =
  | { readonly type: 'copy'; readonly id: number; readonly job: MirrorJob }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'read-secret'; readonly id: number; readonly name: string; readonly namespace: string | undefined }
  /** Requests the user of a token; answered by `user`. */
  | { readonly type: 'review-token'; readonly id: number; readonly token: string; readonly audience: string }
  /** Requests the names in the table of `policies.table` that another replica writes; answered by `table`. */
  | { readonly type: 'read-table'; readonly id: number }
  /** Requests whether the Pod of the job may read its image, of this digest, at the source; answered by `access`. */
  | {
      readonly type: 'check-access';
      readonly id: number;
      readonly job: MirrorJob;
      readonly digest: string | undefined;
      /** Time limit for the answer. */
      readonly milliseconds: number;
    }
  /** `registry` is `target NAME` or `source HOST`. */
  | {
      readonly type: 'log-in';
      readonly id: number;
      readonly registry: string;
      readonly refused: LoginCredentials | undefined;
    }
  /** The result of a copy that the cluster side requested. */
  | { readonly type: 'settled'; readonly report: CopyReport }
  /** An attempt to copy has ended, for any requester. */
  | { readonly type: 'copied'; readonly report: CopyReport }
  /** Hands back the jobs that were taken from a queue server; answered by `stopped` within `grace` milliseconds. */
  | { readonly type: 'drain'; readonly id: number; readonly grace: number }
  /** Stops the worker's activity in the cluster; answered by `stopped`. */
  | { readonly type: 'stop'; readonly id: number }
  | { readonly type: 'configure'; readonly config: Config; readonly programs: Programs };

export type FromBackground =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly id: number; readonly progress: CopyProgress }
  | { readonly type: 'done'; readonly id: number; readonly outcome: CopyOutcome }
  | { readonly type: 'secret'; readonly id: number; readonly text: string }
  /** `name` is undefined for an invalid token. */
  | { readonly type: 'user'; readonly id: number; readonly name: string | undefined }
  | { readonly type: 'table'; readonly id: number; readonly names: readonly string[] }
  | { readonly type: 'access'; readonly id: number; readonly access: SourceAccess }
  | { readonly type: 'login'; readonly id: number; readonly login: RegistryLogin }
  | { readonly type: 'cloud'; readonly event: CloudEvent }
  | { readonly type: 'cluster'; readonly event: ClusterEvent }
  | { readonly type: 'stopped'; readonly id: number }
  | { readonly type: 'requests'; readonly report: RequestReport }
  /** For the next worker. */
  | { readonly type: 'known-blobs'; readonly changes: readonly BlobChange[] }
  | { readonly type: 'failed'; readonly id: number; readonly failure: CopyFailure }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string };

export function isBackgroundData(value: unknown): value is BackgroundData {
  return typeof value === 'object' && value !== null && 'role' in value && value.role === 'background';
}
