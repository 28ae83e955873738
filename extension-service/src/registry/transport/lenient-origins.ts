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
 * Origins whose responses Node's strict parser has rejected. They are read with its lenient parser, on connections that
 * serve one request: where such a response ends is open to interpretation, so nothing that follows it is read.
 */
export class LenientOrigins {
  readonly #origins = new Set<string>();

  has({ origin }: URL): boolean {
    return this.#origins.has(origin);
  }

  /** @returns whether the request may succeed with the lenient parser, from now on used for its origin */
  add({ origin }: URL, error: unknown): boolean {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!TOLERABLE.has(code)) return false;
    if (this.#origins.size >= MAX_ORIGINS) this.#origins.clear();
    this.#origins.add(origin);
    return true;
  }
}
