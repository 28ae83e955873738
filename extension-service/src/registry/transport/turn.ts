import { abortReason, onAbort } from './abort.js';

/**
 * Waits in a queue until someone calls the function that it adds to `waiting`, which also removes it. Rejects with the
 * abort's reason, and leaves the queue, if that comes first.
 */
export function waitForTurn(waiting: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop =
      signal &&
      onAbort(signal, () => {
        waiting.delete(turn);
        reject(abortReason(signal));
      });
    const turn = (): void => {
      stop?.();
      waiting.delete(turn);
      resolve();
    };
    waiting.add(turn);
  });
}
