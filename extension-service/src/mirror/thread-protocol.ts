import type { Config } from '../core/config/model.js';
import type { CopyFailure } from './failure.js';
import type { CopyOutcome, CopyProgress, MirrorJob } from './job.js';

/** What crosses between the main thread and the copy thread: plain data only. */
export interface CopyThreadData {
  readonly role: 'copy-thread';
  readonly config: Config;
  /** Text of the Kubernetes client, which the thread compiles when it needs a Secret. */
  readonly clientProgram: string;
}

export type ToCopyThread =
  | { readonly type: 'copy'; readonly id: number; readonly job: MirrorJob }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'read-secret'; readonly id: number; readonly name: string; readonly namespace: string | undefined }
  | { readonly type: 'configure'; readonly config: Config };

export type FromCopyThread =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly id: number; readonly progress: CopyProgress }
  | { readonly type: 'done'; readonly id: number; readonly outcome: CopyOutcome }
  | { readonly type: 'secret'; readonly id: number; readonly text: string }
  | { readonly type: 'failed'; readonly id: number; readonly failure: CopyFailure }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string };

export function isCopyThreadData(value: unknown): value is CopyThreadData {
  return typeof value === 'object' && value !== null && 'role' in value && value.role === 'copy-thread';
}
