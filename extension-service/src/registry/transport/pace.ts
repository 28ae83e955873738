/** The number of parallel requests of a kind to a registry; below 1, one at a time with a delay between them. */
export interface Pace {
  readonly limit: number;
  /** Time of the last decrease; milliseconds of the caller's clock. */
  readonly loweredAt: number;
}

/** Delay between two requests at a limit of one half; milliseconds. */
const PAUSE_MS = 50;
/** The minimum limit: a delay of 750 ms between requests. */
const MIN_LIMIT = 1 / 16;
/** More than any client sends in parallel. */
const UNLIMITED = 32;
/**
 * Increase per answer at a limit below one. With a larger one, a registry rejects one of three requests instead of one
 * of four.
 */
const SLOW_GROWTH_FACTOR = 1.1;

/**
 * The pace after "too many requests": half of the parallel requests. Requests that were sent before the last decrease
 * have no effect.
 *
 * @param pace undefined: none was needed so far
 * @param inFlight requests without an answer, including this one
 * @param startedAt when the rejected request was sent
 */
export function loweredPace(pace: Pace | undefined, inFlight: number, startedAt: number, now: number): Pace {
  if (pace === undefined) return { limit: Math.max(1, Math.floor(inFlight / 2)), loweredAt: now };
  if (startedAt <= pace.loweredAt) return pace;
  return { limit: Math.max(MIN_LIMIT, pace.limit / 2), loweredAt: now };
}

/** The pace after an answer: one more parallel request per round of answers. Undefined if none is needed any more. */
export function raisedPace({ limit, loweredAt }: Pace): Pace | undefined {
  const raised = limit < 1 ? Math.min(1, limit * SLOW_GROWTH_FACTOR) : limit + 1 / limit;
  return raised >= UNLIMITED ? undefined : { limit: raised, loweredAt };
}

/** Parallel requests, at least one. */
export function maxInFlight({ limit }: Pace): number {
  return Math.max(1, Math.floor(limit));
}

/** Milliseconds between an answer and the next request. */
export function pauseOf({ limit }: Pace): number {
  return limit >= 1 ? 0 : Math.round((1 / limit - 1) * PAUSE_MS);
}
