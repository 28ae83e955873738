import type { IncomingMessage } from 'node:http';
import { pipeline, type Duplex, type Readable } from 'node:stream';
import zlib from 'node:zlib';
import { gunzipIfCoded } from './gunzip-if-coded.js';
import { header, invalid, type RequestInfo } from './request-info.js';

/** Maximum nested codings; proxies never use more. */
const MAX_CODINGS = 2;

const { createZstdDecompress } = zlib as { readonly createZstdDecompress?: () => Duplex };

const DECODERS: Readonly<Record<string, ((body: Readable) => Readable) | undefined>> = {
  gzip: gunzipIfCoded,
  'x-gzip': gunzipIfCoded,
  deflate: decodeWith(() => zlib.createInflate()),
  br: decodeWith(() => zlib.createBrotliDecompress()),
  // Node 22.15 and later.
  ...(createZstdDecompress !== undefined && { zstd: decodeWith(createZstdDecompress) }),
};

function decodeWith(decoder: () => Duplex): (body: Readable) => Readable {
  return (body) => pipeline(body, decoder(), () => undefined);
}

/**
 * The body without the content codings that a proxy added although `identity` was requested. With `size`, an answer of
 * that length is not decoded: some servers declare the compression of the layer itself.
 *
 * Throws a RegistryError of kind `invalid` for an unknown coding. The reader must limit the decoded size.
 */
export function decodedBody(
  response: IncomingMessage,
  asked: RequestInfo,
  size?: number,
): { readonly stream: Readable; readonly coded: boolean } {
  const codings = codingsOf(response);
  if (codings.length === 0 || (size !== undefined && header(response, 'content-length') === String(size))) {
    return { stream: response, coded: false };
  }
  const decoders = codings.reverse().map((coding) => DECODERS[coding]);
  if (codings.length > MAX_CODINGS || decoders.some((decoder) => decoder === undefined)) {
    response.destroy();
    throw invalid(asked, `has the content coding "${codings.join(', ').slice(0, 60)}", which was not requested`);
  }
  let stream: Readable = response;
  for (const decode of decoders) stream = decode?.(stream) ?? stream;
  // A decoder that is closed before it has read anything, or ends before the body, does not close the body.
  stream.once('close', () => response.destroy());
  return { stream, coded: true };
}

/**
 * Values that servers send although they have changed nothing: S3 keeps the coding of an upload, others send a charset
 * or a transfer encoding. The digest shows whether the bytes are right.
 */
const NO_CODINGS: ReadonlySet<string> = new Set(['', 'identity', 'none', 'binary', '8bit', 'utf-8', 'aws-chunked']);

function codingsOf(response: IncomingMessage): string[] {
  return (header(response, 'content-encoding') ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => !NO_CODINGS.has(coding));
}
