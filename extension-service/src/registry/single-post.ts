import { Readable, Writable } from 'node:stream';
import { BlobSource, type BlobStream } from './blob-source.js';
import { canBeDigest, storedDigest } from './digests.js';
import { RegistryError } from './errors.js';
import { repositoryPath } from './paths.js';
import { sendPush } from './send-push.js';
import { withoutRetry, RetriesExhaustedError } from './retries-exhausted-error.js';
import { refusePage } from './transport/answers.js';
import { discard } from './transport/discard.js';
import { withRetry } from './transport/retry.js';
import { push } from './transport/session.js';
import type { Descriptor } from './types.js';
import type { UploaderOptions, UploadOptions } from './upload-options.js';
import { beginSession, type UploadSession } from './upload-session.js';

/**
 * Maximum bytes of a blob that is sent in a single POST. It is held in memory, since a registry may ignore it. Servers
 * written in Go read up to 256 KiB of an ignored body, and close the connection of a larger one.
 */
const MAX_SINGLE_POST_BYTES = 128 * 1024;

/** A blob that the registry did not store: its bytes, and the upload that the registry began instead. */
export interface KeptBlob {
  readonly open: () => Promise<BlobStream>;
  readonly session: UploadSession | undefined;
}

/**
 * Sends a small blob in a single POST, if the registry takes such blobs or has not been tried.
 *
 * @returns undefined if nothing was read or sent
 * @throws the source's error; failures of the registry lead to an upload in a session
 */
export async function trySinglePost(
  options: UploaderOptions,
  repository: string,
  descriptor: Descriptor,
  open: () => Promise<BlobStream>,
  upload: UploadOptions,
): Promise<'stored' | KeptBlob | undefined> {
  const { singlePosts, session, pacer, uploadChunk = MAX_SINGLE_POST_BYTES } = options;
  const { host } = session;
  if (upload.isRepair === true) {
    singlePosts.lost(host);
    return undefined;
  }
  const isSmall = descriptor.size > 0 && descriptor.size <= Math.min(MAX_SINGLE_POST_BYTES, uploadChunk);
  // The quotas of registries with a pacer are per step of an upload.
  if (!isSmall || pacer !== undefined) return undefined;
  const use = singlePosts.begin(host);
  if (use === 'no') return undefined;
  try {
    const from = await withoutRetry(open());
    const bytes = await readWhole(descriptor, from, options, upload);
    const outcome = await post(options, repository, descriptor, bytes, upload);
    const isStored =
      outcome === 'stored' && (use === 'yes' || (await isThere(options, repository, descriptor, upload)));
    if (isStored) {
      singlePosts.took(host);
      upload.onBytes?.(descriptor.size);
      return 'stored';
    }
    const begun = typeof outcome === 'object' ? outcome : undefined;
    // A registry that took other blobs is only busy.
    if (begun !== undefined) singlePosts.ignored(host);
    else if (use === 'trial' || outcome !== 'unanswered') singlePosts.failed(host);
    return { open: () => Promise.resolve(streamOf(bytes, 0, from.host)), session: begun };
  } finally {
    singlePosts.untried(host);
  }
}

/** Only "too many requests" is repeated. After another failure, the blob is uploaded in a session. */
async function post(
  options: UploaderOptions,
  repository: string,
  { digest }: Descriptor,
  bytes: Buffer,
  upload: UploadOptions,
): Promise<'stored' | UploadSession | 'refused' | 'unanswered'> {
  const { retry, retryTools, session } = options;
  const path = repositoryPath(session.host, repository, 'blobs', 'uploads');
  const attempt = async (): Promise<'stored' | UploadSession | 'refused' | 'unanswered'> => {
    try {
      const { response, asked } = await sendPush(options, repository, 'start-upload', upload, {
        method: 'POST',
        target: `${path}/?digest=${encodeURIComponent(digest)}`,
        headers: { 'content-type': 'application/octet-stream' },
        body: bytes,
        scopes: push(repository),
        accept: [201, 202],
      });
      refusePage(response, asked);
      discard(response);
      if (response.statusCode === 202) return beginSession(response, asked);
      const stored = storedDigest(response);
      return stored === undefined || canBeDigest(stored, digest) ? 'stored' : 'refused';
    } catch (error) {
      if (!(error instanceof RegistryError) || error.kind === 'throttled') throw error;
      return error.status === undefined || error.status >= 500 ? 'unanswered' : 'refused';
    }
  };
  return withoutRetry(withRetry(retry, retryTools, upload.signal, attempt));
}

/** Whether the registry has the blob; not if it does not say. */
export async function isThere(
  { hasBlob }: UploaderOptions,
  repository: string,
  descriptor: Descriptor,
  upload: UploadOptions,
): Promise<boolean> {
  try {
    return await hasBlob(repository, descriptor, upload);
  } catch (error) {
    if (error instanceof RegistryError) return false;
    throw error;
  }
}

/** Reads a small blob into memory; its digest and size are verified. */
async function readWhole(
  descriptor: Descriptor,
  from: BlobStream,
  { retry, retryTools }: UploaderOptions,
  { signal }: UploadOptions,
): Promise<Buffer> {
  const source = new BlobSource(descriptor, from, { retry, retryTools, signal, keepBytes: 0 });
  const bytes = Buffer.allocUnsafe(descriptor.size);
  let at = 0;
  const memory = new Writable({
    write(piece: Buffer, _encoding, done) {
      at += piece.copy(bytes, at);
      done();
    },
  });
  try {
    await new Promise<void>((resolve, reject) => {
      memory.once('finish', resolve).once('error', reject);
      source.body(descriptor.size)(memory);
    });
    return bytes;
  } catch (error) {
    source.close();
    if (source.error === undefined) throw error;
    throw source.isBroken ? new RetriesExhaustedError('spent', { cause: source.error }) : source.error;
  }
}

function streamOf(bytes: Buffer, at: number, host: string): BlobStream {
  return {
    host,
    stream: Readable.from([bytes.subarray(at)]),
    skip: 0,
    whole: true,
    resume: (from) => Promise.resolve(streamOf(bytes, from, host)),
  };
}
