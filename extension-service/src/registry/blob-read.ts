import type { BlobStream } from './blob-source.js';
import type { RegistryError } from './errors.js';
import { decodedBody } from './transport/content-coding.js';
import { header, invalid, type RequestInfo } from './transport/answers.js';
import { discard } from './transport/discard.js';
import { readPieces } from './transport/read-buffers.js';
import type { ConnectionUse } from './transport/request-slots.js';
import { pull, type SessionAnswer, type SessionRequest } from './transport/session.js';
import type { Descriptor } from './types.js';

export interface BlobReadOptions {
  readonly host: string;
  readonly repository: string;
  /** Path of the blob on the registry. */
  readonly target: string;
  readonly descriptor: Descriptor;
  readonly send: (request: SessionRequest) => Promise<SessionAnswer>;
  /** The registry returns no usable parts: no request asks for one. */
  readonly wholeOnly?: true;
  /** Sends a request with the client's retries. */
  readonly retried: <T>(attempt: () => Promise<T>) => Promise<T>;
}

/**
 * Opens a blob; its `resume` requests the rest by a Range, and reads the whole blob again if a registry ignores that.
 */
export function openBlob(options: BlobReadOptions): Promise<BlobStream> {
  return options.retried(() => readFrom(options, 0, undefined, 'download'));
}

async function readFrom(
  options: BlobReadOptions,
  from: number,
  etag: string | undefined,
  use: ConnectionUse,
): Promise<BlobStream> {
  const { repository, target, descriptor, send, host, wholeOnly = false } = options;
  const isWhole = from === 0 || wholeOnly;
  const range = { range: `bytes=${from}-`, ...(etag !== undefined && { 'if-range': etag }) };
  const { response, asked } = await send({
    method: 'GET',
    target,
    headers: isWhole ? {} : range,
    use,
    scopes: pull(repository),
    // A proxy may answer 203, or 206 for a whole blob or the beginning of it.
    accept: isWhole ? [200, 203, 206] : [200, 203, 206, 416],
  });
  const contentRange = header(response, 'content-range');
  // Some caches answer 200 with a part of the blob.
  const isPart = response.statusCode === 206 || (!isWhole && response.statusCode !== 416 && contentRange !== undefined);
  const skip = isPart ? skippedBytes(contentRange, from, descriptor) : from;
  // A Range of a compressed body counts compressed bytes.
  const isUsable =
    skip !== undefined && response.statusCode !== 416 && !(isPart && 'content-encoding' in response.headers);
  if (!isUsable && isWhole) {
    response.destroy();
    throw invalid(asked, 'answered a part of the blob that was not requested');
  }
  if (!isUsable) {
    if (response.statusCode === 416) discard(response);
    else response.destroy();
    return readFrom({ ...options, wholeOnly: true }, from, undefined, use);
  }
  const { stream, coded } = decodedBody(response, asked, isPart ? undefined : descriptor.size);
  const length = header(response, 'content-length');
  if (!coded && !isPart && length !== undefined && Number(length) !== descriptor.size) {
    response.destroy();
    throw wrongLength(asked, length, descriptor, header(response, 'content-type'));
  }
  const strong = /^"[^"]*"$/.exec(header(response, 'etag') ?? '')?.[0];
  const isCounted = !coded && length !== undefined && header(response, 'transfer-encoding') === undefined;
  const isDelimited = length !== undefined || header(response, 'transfer-encoding') !== undefined;
  return {
    host,
    stream,
    // Other framings are left to node's parser alone.
    ...(isCounted && { pieces: (take) => readPieces(response, Number(length), take) }),
    skip,
    whole: !isPart && isDelimited,
    resume: (at) => {
      const again = coded ? { ...options, wholeOnly: true as const } : options;
      return options.retried(() => readFrom(again, at, coded ? undefined : strong, 'resume'));
    },
  };
}

/** The number of bytes of a part before `from`; undefined for a part that does not reach it, or is not of this blob. */
function skippedBytes(contentRange: string | undefined, from: number, { size }: Descriptor): number | undefined {
  const [, start, end, total] =
    /^bytes[ =]+(\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(contentRange?.trim() ?? '') ?? [];
  if (start === undefined || end === undefined || total === undefined) return undefined;
  if ((total !== '*' && Number(total) !== size) || Number(start) > from || Number(end) < from) return undefined;
  return from - Number(start);
}

function wrongLength(
  asked: RequestInfo,
  length: string,
  { size }: Descriptor,
  type: string | undefined,
): RegistryError {
  const hint =
    type?.startsWith('text/html') === true ? ' (an HTML page: is there a proxy or login page in between?)' : '';
  return invalid(asked, `has ${length.slice(0, 20)} bytes, but the manifest says ${size}${hint}`);
}
