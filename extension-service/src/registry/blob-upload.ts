import type { IncomingMessage } from 'node:http';
import { BlobSource, type BlobStream } from './blob-source.js';
import { canBeDigest, storedDigest } from './digests.js';
import { RegistryError } from './errors.js';
import { sendPush } from './send-push.js';
import { isThere, trySinglePost, type KeptBlob } from './single-post.js';
import { withoutRetry, RetriesExhaustedError } from './retries-exhausted-error.js';
import { repositoryPath } from './paths.js';
import { invalid, refusePage, type RequestInfo } from './transport/answers.js';
import { discard } from './transport/discard.js';
import { withRetry } from './transport/retry.js';
import { pull, push, type SessionAnswer, type SessionRequest } from './transport/session.js';
import type { Descriptor, RequestContext } from './types.js';
import { StreamUploads } from './stream-uploads.js';
import type { UploaderOptions, UploadOptions } from './upload-options.js';
import { beginSession, locationOf, receivedBytes, withDigest, type UploadSession } from './upload-session.js';

export type { BlobStream } from './blob-source.js';
export type { UploadOptions } from './upload-options.js';

/**
 * Pushes blobs to one registry. A blob is mounted, or sent in a single POST, or in one POST and one PUT. With
 * `uploadChunk`, larger blobs are sent in one POST, PATCHes and one PUT; registries that take no body in a PUT get one
 * PATCH.
 */
export class BlobUploader {
  readonly #options: UploaderOptions;
  readonly #streams = new StreamUploads();

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  /**
   * Pushes a blob: by a mount if `from` names a repository of this registry that has it, else from the stream that
   * `open` returns, verified while streaming. An interrupted download is resumed. An interrupted upload is resumed
   * if blobs are sent in chunks; otherwise it is canceled and restarted with a new stream.
   */
  async upload(
    repository: string,
    descriptor: Descriptor,
    open: () => Promise<BlobStream>,
    options: UploadOptions = {},
  ): Promise<'mounted' | 'uploaded'> {
    const { retry, retryTools } = this.#options;
    // Opening and starting have their own retries: only failures in between are repeated here.
    const attempts = Math.min(retry.attempts, UPLOAD_ATTEMPTS);
    const { throttledAttempts = attempts } = descriptor.size <= MAX_CHEAP_BYTES ? retry : {};
    let from = options.from;
    let sentAll = false;
    const way = this.#streams.begin(descriptor.size <= (this.#options.uploadChunk ?? descriptor.size));
    return withRetry({ ...retry, attempts, throttledAttempts }, retryTools, options.signal, async () => {
      // A registry may have stored a blob whose upload failed: after a timeout, or from another client meanwhile.
      if (sentAll && (await isThere(this.#options, repository, descriptor, options))) return 'uploaded';
      sentAll = false;
      const kept =
        from === undefined ? await trySinglePost(this.#options, repository, descriptor, open, options) : undefined;
      if (kept === 'stored') return 'uploaded';
      const begun = await this.#begin(repository, descriptor, kept ?? { open, session: undefined }, from, options);
      if (begun === undefined) return 'mounted';
      from = undefined;
      try {
        const { session, source } = begun;
        const outcome = await this.#sendBlob(repository, session, descriptor, source, options, way.isStreamed);
        way.worked();
        return outcome;
      } catch (error) {
        throw way.failed(error);
      } finally {
        sentAll = begun.source.sent === descriptor.size && options.isRepair !== true;
      }
    }).catch((error: unknown) => {
      throw error instanceof RetriesExhaustedError ? error.cause : error;
    });
  }

  /**
   * Starts an upload and opens the source, at the same time if that is allowed.
   *
   * @returns undefined if the blob was mounted
   */
  async #begin(
    repository: string,
    descriptor: Descriptor,
    { open, session: begun }: KeptBlob,
    from: string | undefined,
    options: UploadOptions,
  ): Promise<{ readonly session: UploadSession; readonly source: BlobSource } | undefined> {
    const { pacer } = this.#options;
    const openSource = async (): Promise<BlobSource> => this.#sourceOf(descriptor, await open(), options);
    // With a mount, the source may not be needed. Under a quota, it would wait for its turn, and could give up.
    const isEarly = from === undefined && pacer === undefined;
    const opening = isEarly ? openSource() : undefined;
    // Its failure is handled once the upload has started.
    opening?.catch(() => undefined);
    let session: UploadSession | undefined;
    try {
      session = begun ?? (await withoutRetry(this.#startUpload(repository, descriptor.digest, from, options)));
    } catch (error) {
      opening?.then(
        (source) => source.close(),
        () => undefined,
      );
      throw error;
    }
    if (session === undefined) return undefined;
    try {
      // Waits before the source is opened, because an open source would not wait as long.
      await pacer?.wait('finish-upload', options.signal);
      return { session, source: await withoutRetry(opening ?? openSource()) };
    } catch (error) {
      await this.#cancelUpload(repository, session, options);
      throw error;
    }
  }

  #sourceOf(descriptor: Descriptor, first: BlobStream, { signal, onBytes }: UploadOptions): BlobSource {
    const { retry, retryTools, uploadChunk } = this.#options;
    const keepBytes = uploadChunk !== undefined && descriptor.size > uploadChunk ? KEPT_BYTES : 0;
    return new BlobSource(descriptor, first, { retry, retryTools, signal, keepBytes, onBytes });
  }

  /** Starts an upload and cancels it, to test whether the credentials may push without leaving anything behind. */
  async probePush(repository: string, context: RequestContext = {}): Promise<void> {
    // Bypasses the hooks of a push: a check must not create anything.
    const probe = new BlobUploader({ ...this.#options, createRepository: () => Promise.resolve(false) });
    const session = await probe.#postUpload(repository, undefined, context);
    if (session !== undefined) await this.#cancelUpload(repository, session, context);
  }

  /**
   * Returns undefined if the blob was mounted. A 202 to a mount is a normal session (ECR, for blobs that no manifest
   * refers to yet).
   */
  async #startUpload(
    repository: string,
    digest: string,
    from: string | undefined,
    context: RequestContext,
  ): Promise<UploadSession | undefined> {
    if (from === undefined) return this.#postUpload(repository, undefined, context);
    try {
      return await this.#postUpload(repository, { digest, from }, context);
    } catch (error) {
      // A registry that rejects a mount, or fails because of it, may accept the bytes (osscontainertools/kaniko#1013); token
      // servers may reject the whole token if the other repository is not readable.
      if (!(error instanceof RegistryError) || error.kind === 'throttled') throw error;
      return this.#postUpload(repository, undefined, context);
    }
  }

  async #postUpload(
    repository: string,
    mount: { readonly digest: string; readonly from: string } | undefined,
    context: RequestContext | undefined,
  ): Promise<UploadSession | undefined> {
    const query =
      mount === undefined ? '' : `?mount=${encodeURIComponent(mount.digest)}&from=${encodeURIComponent(mount.from)}`;
    return this.#retried(context, async () => {
      const { response, asked } = await sendPush(this.#options, repository, 'start-upload', context, {
        method: 'POST',
        target: `${repositoryPath(this.#options.session.host, repository, 'blobs', 'uploads')}/${query}`,
        scopes: [...push(repository), ...(mount === undefined ? [] : pull(mount.from))],
        // 202 by the specification; containerd and docker take the others too.
        accept: mount === undefined ? [200, 201, 202, 204] : [201, 202],
      });
      discard(response);
      if (mount === undefined || response.statusCode !== 201) return beginSession(response, asked);
      const mounted = storedDigest(response);
      if (mounted !== undefined && !canBeDigest(mounted, mount.digest)) throw invalid(asked, `mounted ${mounted}`);
      return undefined;
    });
  }

  async #sendBlob(
    repository: string,
    session: UploadSession,
    descriptor: Descriptor,
    source: BlobSource,
    options: UploadOptions,
    isStreamed: boolean,
  ): Promise<'mounted' | 'uploaded'> {
    const { uploadChunk } = this.#options;
    const chunk = uploadChunk === undefined ? descriptor.size : Math.max(uploadChunk, session.minimumChunk);
    const isChunked = descriptor.size > chunk;
    try {
      let { location } = session;
      if (isChunked) location = await this.#sendChunks(repository, session, descriptor, chunk, source, options);
      else if (isStreamed) location = await this.#sendStream(repository, session, descriptor, source, options);
      const rest = isChunked || isStreamed ? undefined : source;
      return await this.#finishUpload(repository, location, descriptor, rest, options);
    } catch (error) {
      source.close();
      await this.#cancelUpload(repository, session, options);
      // An upload that failed because of its source is the source's error.
      if (source.error !== undefined)
        throw source.isBroken ? new RetriesExhaustedError('spent', { cause: source.error }) : source.error;
      if (!(error instanceof RegistryError)) throw error;
      // A target that accepted the beginning is up: its other copies continue.
      if (source.isStarving && (error.kind === 'unreachable' || error.status === 408)) {
        throw new RetriesExhaustedError('spent', { cause: starvedUploadError(error, source.host) });
      }
      if (error.kind === 'throttled') this.#options.pacer?.throttled('finish-upload');
      throw error;
    }
  }

  /** @returns `mounted` for a blob that the registry had, so that it answered before it got all bytes */
  async #finishUpload(
    repository: string,
    location: URL,
    { digest, size }: Descriptor,
    source: BlobSource | undefined,
    options: UploadOptions,
  ): Promise<'mounted' | 'uploaded'> {
    const length = source === undefined ? 0 : size;
    const { response, asked } = await this.#send(options, {
      method: 'PUT',
      target: withDigest(location, digest),
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(length) },
      ...(source !== undefined && { body: source.body(size) }),
      // Also without a body, the registry may have to store the whole blob in another place.
      use: 'upload',
      scopes: push(repository),
      // 201 by the specification; other codes are verified by the manifest that follows.
      accept: [200, 201, 202, 204],
    });
    if (response.statusCode === 200) refusePage(response, asked);
    discard(response);
    const stored = storedDigest(response);
    if (stored !== undefined && !canBeDigest(stored, digest)) throw invalid(asked, `stored ${stored}`);
    if (source === undefined || source.sent === size) return 'uploaded';
    const { sent } = source;
    source.close();
    if (await this.#options.hasBlob(repository, { digest, size }, options)) return 'mounted';
    throw invalid(asked, `accepted the upload after ${sent} of ${size} bytes, and does not have the blob`);
  }

  /** Sends the blob in one PATCH without a range, as docker does it. @returns where to finish the upload */
  async #sendStream(
    repository: string,
    { location }: UploadSession,
    { size }: Descriptor,
    source: BlobSource,
    options: UploadOptions,
  ): Promise<URL> {
    const { response, asked } = await this.#send(options, {
      method: 'PATCH',
      target: location.href,
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
      body: source.body(size),
      scopes: push(repository),
      accept: [200, 201, 202, 204],
    });
    if (response.statusCode === 200) refusePage(response, asked);
    discard(response);
    if (source.sent < size) throw invalid(asked, `accepted the upload after ${source.sent} of ${size} bytes`);
    return locationOf(response, asked) ?? location;
  }

  /**
   * Sends the blob in PATCHes of `chunk` bytes (OCI distribution-spec, "Pushing a blob in chunks"). An interrupted
   * upload is resumed from the registry's reported offset; tries count only while that does not grow.
   *
   * @returns where to finish the upload
   */
  async #sendChunks(
    repository: string,
    session: UploadSession,
    { size }: Descriptor,
    chunk: number,
    source: BlobSource,
    options: UploadOptions,
  ): Promise<URL> {
    const { retry, retryTools } = this.#options;
    let { location } = session;
    let sent = 0;
    let fruitlessAttempts = 0;
    while (sent < size) {
      const end = Math.min(sent + chunk, size);
      try {
        const { response, asked } = await this.#send(options, {
          method: 'PATCH',
          target: location.href,
          headers: {
            'content-type': 'application/octet-stream',
            'content-length': String(end - sent),
            'content-range': `${sent}-${end - 1}`,
          },
          body: source.body(end),
          scopes: push(repository),
          accept: [200, 201, 202, 204],
        });
        if (response.statusCode === 200) refusePage(response, asked);
        discard(response);
        location = locationOf(response, asked) ?? location;
        const received = this.#acceptedBytes(response, asked, { sent, end, source });
        if (received < end) await source.rewind(received);
        sent = received;
        fruitlessAttempts = 0;
      } catch (error) {
        if (source.failure !== undefined || !(error instanceof RegistryError)) throw error;
        if (!error.retryable && error.status !== 416) throw error;
        if ((error.retryAfter ?? 0) > retry.maxRetryAfter) throw error;
        await retryTools.sleep(
          error.retryAfter ?? retryTools.random() * retry.baseDelay * 2 ** fruitlessAttempts,
          options.signal,
        );
        options.signal?.throwIfAborted();
        const status = await this.#uploadStatus(repository, location, options);
        if (status === undefined || status.received > end) throw error.as({ kind: 'server', retryable: true });
        fruitlessAttempts = status.received > sent ? 0 : fruitlessAttempts + 1;
        if (fruitlessAttempts >= retry.attempts) throw error;
        await source.rewind(status.received);
        ({ location } = status);
        sent = status.received;
      }
      source.acknowledge(sent);
    }
    return location;
  }

  /**
   * How many bytes a registry has after a chunk. Some send a Range that cannot be true: always `0-0`, the end as an
   * exclusive one, or the chunk alone. The status then counts, and the digest at the end of the upload decides.
   */
  #acceptedBytes(
    response: IncomingMessage,
    asked: RequestInfo,
    { sent, end, source }: { readonly sent: number; readonly end: number; readonly source: BlobSource },
  ): number {
    const received = receivedBytes(response) ?? end;
    if (received > sent && received <= source.sent) return received;
    // The answer may come before the end of the chunk.
    if (source.sent === end) return end;
    throw invalid(asked, `received ${received} of ${source.sent} bytes of the upload`);
  }

  /** How many bytes of an upload the registry has; undefined if it has lost the upload, or does not report this. */
  async #uploadStatus(
    repository: string,
    location: URL,
    options: UploadOptions,
  ): Promise<{ readonly received: number; readonly location: URL } | undefined> {
    try {
      return await this.#retried(options, async () => {
        const { response, asked } = await this.#send(options, {
          method: 'GET',
          target: location.href,
          scopes: push(repository),
          accept: [204, 200, 202],
        });
        discard(response);
        const received = receivedBytes(response);
        return received === undefined ? undefined : { received, location: locationOf(response, asked) ?? location };
      });
    } catch (error) {
      if (error instanceof RegistryError && error.status !== undefined && !error.retryable) return undefined;
      throw error;
    }
  }

  /** Best effort: registries clean up by themselves, some do not support DELETE here. */
  async #cancelUpload(repository: string, { location }: UploadSession, context: RequestContext): Promise<void> {
    const { onRequest } = context;
    const signal = AbortSignal.timeout(5_000);
    await this.#send(
      { signal, ...(onRequest && { onRequest }) },
      { method: 'DELETE', target: location.href, scopes: push(repository), accept: [200, 202, 204, 404, 405] },
    ).then(
      ({ response }) => discard(response),
      () => undefined,
    );
  }

  #send(context: RequestContext | undefined, request: SessionRequest): Promise<SessionAnswer> {
    return this.#options.session.send(request, context);
  }

  #retried<T>(context: RequestContext | undefined, attempt: () => Promise<T>): Promise<T> {
    return withRetry(this.#options.retry, this.#options.retryTools, context?.signal, attempt);
  }
}

/** The target ended an upload that had waited for its source: the fault is the source's, and only of this copy. */
function starvedUploadError(error: RegistryError, host: string): RegistryError {
  return new RegistryError(`is so slow that the target ended the upload: ${error.message}`, {
    kind: 'server',
    host,
    cause: error,
  });
}

const UPLOAD_ATTEMPTS = 4;
/** Blobs up to this size are sent as often as other throttled requests; each try reads the source again. */
const MAX_CHEAP_BYTES = 16 * 1024 * 1024;

/** Sent bytes of a chunked upload to keep: the amount that the sockets of both ends hold when a connection ends. */
const KEPT_BYTES = 12 * 1024 * 1024;
