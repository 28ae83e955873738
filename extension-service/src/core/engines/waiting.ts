/** Whether requests wait for copies under this `imageCopyPolicy`. */
export function waitsForCopy(policy: string | undefined): boolean {
  return policy === 'immediate' || policy === 'force';
}

/** Whether a request waits for the copy of this image: `force` looks at what the target has already. */
export function waitsForImage(policy: string, isPresent: boolean): boolean {
  return waitsForCopy(policy) && (!isPresent || policy === 'force');
}

/** Seconds for the lookup and the answer, on top of the copies. */
const MARGIN_SECONDS = 2;
/** The longest timeout that the API server takes. */
const MAX_SECONDS = 30;

/**
 * Seconds that the API server waits for a request that waits for no copy. An answer takes 700 ms at most. While the service
 * cannot be reached, the creation of each Pod can take this long.
 */
export const USUAL_TIMEOUT_SECONDS = 3;

/** Milliseconds that a request waits for copies unless `imageCopyDeadline` says otherwise. */
export const USUAL_DEADLINE = 8_000;

/**
 * How many seconds requests may take that wait for copies up to the deadline; undefined where none waits.
 *
 * @param deadline milliseconds
 */
export function secondsFor(policies: readonly (string | undefined)[], deadline: number): number | undefined {
  if (!policies.some(waitsForCopy)) return undefined;
  return Math.min(MAX_SECONDS, Math.max(USUAL_TIMEOUT_SECONDS, Math.ceil(deadline / 1_000) + MARGIN_SECONDS));
}

/** The longest `imageCopyDeadline` that a request can wait: the API server gives a webhook 30 s, and an answer needs some. */
export const MAX_WAIT_MS = 28_000;
