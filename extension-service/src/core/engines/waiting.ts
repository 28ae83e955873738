import type { Engine } from './engine.js';

/** Whether some of an engine's requests start copies, and can therefore wait for one. */
export function canWait({ decides }: Pick<Engine, 'decides'>): boolean {
  return decides.startsCopies || decides.startsSomeCopies === true;
}

/** Whether requests wait for copies under this `imageCopyPolicy`. */
export function waitsForCopy(policy: string | undefined): boolean {
  return policy === 'immediate' || policy === 'force';
}

/** Whether a request waits for the copy of this image: `force` also checks existing images. */
export function waitsForImage(policy: string, isPresent: boolean): boolean {
  return waitsForCopy(policy) && (!isPresent || policy === 'force');
}

/** Seconds for the lookup and the answer, in addition to the copies. */
const TIMEOUT_MARGIN_SECONDS = 2;
/** Maximum timeout in seconds that the API server accepts. */
const MAX_SECONDS = 30;

/**
 * Timeout of the API server in seconds for a request that does not wait for copies. An answer takes 700 ms at most.
 * While the service cannot be reached, the creation of each Pod can take this long.
 */
export const DEFAULT_TIMEOUT_SECONDS = 3;

/** Default of `imageCopyDeadline` in milliseconds. */
export const DEFAULT_DEADLINE_MS = 8_000;

/**
 * Timeout in seconds for requests that wait for copies up to the deadline; undefined if none waits.
 *
 * @param deadline milliseconds
 */
export function timeoutSecondsFor(policies: readonly (string | undefined)[], deadline: number): number | undefined {
  if (!policies.some(waitsForCopy)) return undefined;
  return Math.min(MAX_SECONDS, Math.max(DEFAULT_TIMEOUT_SECONDS, Math.ceil(deadline / 1_000) + TIMEOUT_MARGIN_SECONDS));
}

/** The maximum `imageCopyDeadline`: the API server's limit for a webhook is 30 s, and the answer needs some of it. */
export const MAX_WAIT_MS = 28_000;
