/** How many requests of a kind a registry is given at once; below 1, one at a time with pauses between them. */
export interface Pace {
  readonly limit: number;
  /** When it was lowered last; milliseconds of the caller's clock. */
  readonly loweredAt: number;
}

/** Pause between two requests at half of one at a time; milliseconds. */
const PAUSE_MS = 50;
/** A pause of 750 ms between requests. */
const MIN_LIMIT = 1 / 16;
/** More than any client sends at once. */
const UNLIMITED = 32;
/** By each answer, below one at a time. With more, a registry refuses one of three requests and not one of four. */
const SLOW_GROWTH_FACTOR = 1.1;

/**
 * The pace after "too many requests": half of what was sent at once. Requests that were on their way when the pace was
 * lowered tell nothing new.
 *
 * @param pace undefined: none was needed so far
 * @param inFlight requests that had no answer yet, this one included
 * @param startedAt when the refused request was sent
 */
export function loweredPace(pace: Pace | undefined, inFlight: number, startedAt: number, now: number): Pace {
  if (pace === undefined) return { limit: Math.max(1, Math.floor(inFlight / 2)), loweredAt: now };
  if (startedAt <= pace.loweredAt) return pace;
  return { limit: Math.max(MIN_LIMIT, pace.limit / 2), loweredAt: now };
}

/** The pace after an answer: one more request at once for each round of answers. Undefined: none is needed any more. */
export function raisedPace({ limit, loweredAt }: Pace): Pace | undefined {
  const raised = limit < 1 ? Math.min(1, limit * SLOW_GROWTH_FACTOR) : limit + 1 / limit;
  return raised >= UNLIMITED ? undefined : { limit: raised, loweredAt };
}

/** Requests at once, at least one. */
export function atOnce({ limit }: Pace): number {
  return Math.max(1, Math.floor(limit));
}

/** Milliseconds between an answer and the next request. */
export function pauseOf({ limit }: Pace): number {
  return limit >= 1 ? 0 : Math.round((1 / limit - 1) * PAUSE_MS);
}
