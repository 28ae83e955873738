import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** RFC 1952, section 2.3.1. */
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/** The body without its content coding `gzip`; unchanged if a proxy named the coding but did not apply it. */
export function gunzipIfCoded(body: Readable): Readable {
  return Readable.from(decoded(body), { objectMode: false });
}

async function* decoded(body: Readable): AsyncGenerator<Buffer, void> {
  const pieces = body[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
  let start = Buffer.alloc(0);
  while (start.length < GZIP_MAGIC.length) {
    const next = await pieces.next();
    if (next.done === true) break;
    start = Buffer.concat([start, next.value]);
  }
  if (!start.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC)) {
    yield start;
    yield* pieces;
    return;
  }
  yield* pipeline(Readable.from(rest(start, pieces), { objectMode: false }), createGunzip(), () => undefined);
}

async function* rest(start: Buffer, pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  yield start;
  yield* pieces;
}
