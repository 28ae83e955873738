import { BoundedMap } from '../../util/bounded-map.js';

/**
 * Violations of HTTP that Node's parser rejects, and clients in Go and curl accept: a Content-Length beside a
 * Transfer-Encoding, line breaks without a carriage return, header lines that are folded, control characters in headers.
 */
const TOLERABLE: ReadonlySet<string> = new Set([
  'HPE_INVALID_CONTENT_LENGTH',
  'HPE_INVALID_TRANSFER_ENCODING',
  'HPE_INVALID_HEADER_TOKEN',
  'HPE_CR_EXPECTED',
]);
/** Maximum origins to remember; a registry can redirect to any number of them. */
const MAX_ORIGINS = 1_000;
/**
 * How long an origin is remembered, in milliseconds. A rate limiter of Docker Hub has answered like this in front of a
 * registry that does not (docker/hub-feedback#1907).
 */
const LENIENT_MS = 600_000;

/**
 * Origins whose responses Node's strict parser has rejected. They are read with its lenient parser, on connections that
 * serve one request: where such a response ends is open to interpretation, so nothing that follows it is read.
 */
export class LenientOrigins {
  /** Until when, in milliseconds of the clock. */
  readonly #origins = new BoundedMap<string, number>(MAX_ORIGINS);
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  has({ origin }: URL): boolean {
    return (this.#origins.get(origin) ?? 0) > this.#now();
  }

  /** @returns whether the request may succeed with the lenient parser, from now on used for its origin */
  add({ origin }: URL, error: unknown): boolean {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!TOLERABLE.has(code)) return false;
    this.#origins.set(origin, this.#now() + LENIENT_MS);
    return true;
  }
}
