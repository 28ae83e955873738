import type { OnRegistryRequest } from '../registry/request-log.js';

/** Above this, a copy waits for answers more than it sends; registries in the same network answer faster. */
const DISTANT_MS = 10;
/** Answers of a registry before its distance counts: the first ones include connections and logins. */
const MIN_ANSWERS = 24;

/**
 * Calls `onDistant` once, when the fastest answer of a registry took a round trip to a distant place. A registry that is
 * near and busy has some fast answers.
 */
export function whenDistant(onDistant: () => void): OnRegistryRequest {
  const registries = new Map<string, { answers: number; fastest: number }>();
  let isDistant = false;
  return ({ host, milliseconds }) => {
    if (isDistant || milliseconds === undefined) return;
    const known = registries.get(host) ?? { answers: 0, fastest: Number.POSITIVE_INFINITY };
    registries.set(host, known);
    known.answers += 1;
    known.fastest = Math.min(known.fastest, milliseconds);
    if (known.answers !== MIN_ANSWERS || known.fastest < DISTANT_MS) return;
    isDistant = true;
    onDistant();
  };
}
