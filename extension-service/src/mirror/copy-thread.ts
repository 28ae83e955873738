import { parentPort } from 'node:worker_threads';
import { CopyFailedError } from './failure.js';
import type { Copier, CopyProgress } from './job.js';
import type { CopyThreadData, FromCopyThread, ToCopyThread } from './thread-protocol.js';

/** A copier whose configuration may change between two copies. */
export interface ConfigurableCopier extends Copier {
  configure(config: CopyThreadData['config']): void;
}

/** Progress is told at most this often for a copy, in milliseconds: a blob arrives in thousands of chunks. */
const PROGRESS_INTERVAL = 200;

/** Runs in the worker thread: takes jobs from the main thread, one answer each. */
export function runCopyThread(
  data: CopyThreadData,
  createCopier: (
    data: CopyThreadData,
    log: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void,
  ) => ConfigurableCopier,
): void {
  const port = parentPort;
  if (port === null) throw new Error('runCopyThread is called in a worker thread only');
  const send = (message: FromCopyThread): void => port.postMessage(message);
  const copier = createCopier(data, (level, message) => send({ type: 'log', level, message }));
  const running = new Map<number, AbortController>();

  port.on('message', (message: ToCopyThread) => {
    switch (message.type) {
      case 'configure':
        copier.configure(message.config);
        return;
      case 'cancel':
        running.get(message.id)?.abort();
        return;
      case 'copy': {
        const { id, job } = message;
        const abort = new AbortController();
        running.set(id, abort);
        copier
          .copy(
            job,
            abort.signal,
            throttle((progress) => send({ type: 'progress', id, progress })),
          )
          .then(
            (outcome) => send({ type: 'done', id, outcome }),
            (error: unknown) => send({ type: 'failed', id, failure: failure(error, job.source) }),
          )
          .finally(() => running.delete(id));
        return;
      }
    }
  });
  send({ type: 'ready' });
}

function failure(error: unknown, source: string): CopyFailedError['failure'] {
  if (error instanceof CopyFailedError) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  return { reason: 'internal', message: `${source}: ${message}`, retryable: true };
}

function throttle(tell: (progress: CopyProgress) => void): (progress: CopyProgress) => void {
  let last = 0;
  return (progress) => {
    const now = performance.now();
    if (now - last < PROGRESS_INTERVAL) return;
    last = now;
    tell(progress);
  };
}
