/** Whether requests wait for copies under this `imageCopyPolicy`. */
export function waitsForCopy(policy: string | undefined): boolean {
  return policy === 'immediate' || policy === 'force';
}

/** Seconds: for the lookup and the answer, on top of the copies; of a usual policy; at most, by the API server. */
const [MARGIN_SECONDS, USUAL_SECONDS, MAX_SECONDS] = [2, 10, 30];

/** Milliseconds that a request waits for copies unless `imageCopyDeadline` says otherwise. */
export const USUAL_DEADLINE = 8_000;

/**
 * How many seconds requests may take that wait for copies up to the deadline; undefined where none waits.
 *
 * @param deadline milliseconds
 */
export function secondsFor(policies: readonly (string | undefined)[], deadline: number): number | undefined {
  if (!policies.some(waitsForCopy)) return undefined;
  return Math.min(MAX_SECONDS, Math.max(USUAL_SECONDS, Math.ceil(deadline / 1_000) + MARGIN_SECONDS));
}
