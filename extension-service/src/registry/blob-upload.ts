import type { IncomingMessage } from 'node:http';
import { statedDigest } from './digests.js';
import { RegistryError } from './errors.js';
import { repositoryPath } from './paths.js';
import { sendPush, type PushOptions } from './send-push.js';
import { ContentMismatchError, pipeVerified, SourceBrokenError } from './transfer.js';
import { header, invalid } from './transport/answers.js';
import { discard } from './transport/discard.js';
import { withRetry, type RetryPolicy, type RetryTools } from './transport/retry.js';
import { pull, push, type Scope, type SessionAnswer, type SessionRequest } from './transport/session.js';
import type { Descriptor, RequestContext } from './types.js';

export interface BlobStream {
  /** The registry that it comes from, for messages. */
  readonly host: string;
  readonly stream: IncomingMessage;
}

export interface UploadOptions extends RequestContext {
  /** Another repository of this registry that has the blob. */
  readonly from?: string;
  /** Gets the bytes sent so far; begins again at 0 when the upload does. */
  readonly onBytes?: (total: number) => void;
}

interface UploadSession {
  /** Where the bytes go: a URL, or a path on the registry. */
  readonly location: string;
}

export interface UploaderOptions extends PushOptions {
  readonly retry: RetryPolicy;
  readonly retryTools: RetryTools;
}

/** Blobs into one registry, each by a mount, or by one POST and one PUT. */
export class BlobUploader {
  readonly #options: UploaderOptions;

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  /**
   * Brings a blob here: by a mount when `from` names a repository of this registry that has it, else by one POST and one
   * PUT with the stream that `open` gives. The stream is verified while it passes; an upload that fails is cancelled and
   * tried again with a new session and a new stream, since a stream cannot be sent twice.
   */
  async upload(
    repository: string,
    descriptor: Descriptor,
    open: () => Promise<BlobStream>,
    options: UploadOptions = {},
  ): Promise<'mounted' | 'uploaded'> {
    const { retry, retryTools } = this.#options;
    // Opening and beginning have retries of their own: only what fails in between is repeated here.
    const attempts = Math.min(retry.attempts, UPLOAD_ATTEMPTS);
    let from = options.from;
    return withRetry({ ...retry, attempts, throttledAttempts: attempts }, retryTools, options.signal, async () => {
      const session = await once(this.#startUpload(repository, descriptor.digest, from, options));
      if (session === undefined) return 'mounted';
      from = undefined;
      let source: BlobStream;
      try {
        // Before the source is opened, which would not wait as long.
        await this.#options.pacer?.wait('finish-upload', options.signal);
        source = await once(open());
      } catch (error) {
        await this.#cancelUpload(repository, session, options);
        throw error;
      }
      await this.#finishUpload(repository, session, descriptor, source, options);
      return 'uploaded';
    }).catch((error: unknown) => {
      throw error instanceof SpentError ? error.cause : error;
    });
  }

  /** Begins an upload and cancels it: whether the credentials may push, without leaving anything there. */
  async probePush(repository: string, context: RequestContext = {}): Promise<void> {
    // Past the hooks of a push: nothing is created for a question.
    const probe = new BlobUploader({ ...this.#options, createRepository: () => Promise.resolve(false) });
    const session = await probe.#postUpload(repository, '', push(repository), context);
    if (session !== undefined) await this.#cancelUpload(repository, session, context);
  }

  /** Undefined: mounted. A 202 to a mount is a session like any other (ECR, for blobs that no manifest refers to yet). */
  async #startUpload(
    repository: string,
    digest: string,
    from: string | undefined,
    context: RequestContext,
  ): Promise<UploadSession | undefined> {
    if (from === undefined) return this.#postUpload(repository, '', push(repository), context);
    const query = `?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
    try {
      return await this.#postUpload(repository, query, [...push(repository), ...pull(from)], context);
    } catch (error) {
      // Token servers may refuse the whole token when the other repository is not ours to read.
      if (!(error instanceof RegistryError) || !NO_MOUNT.has(error.kind)) throw error;
      return this.#postUpload(repository, '', push(repository), context);
    }
  }

  async #postUpload(
    repository: string,
    query: string,
    scopes: readonly Scope[],
    context: RequestContext | undefined,
  ): Promise<UploadSession | undefined> {
    return this.#retried(context, async () => {
      const { response, asked } = await sendPush(this.#options, repository, 'start-upload', context, {
        method: 'POST',
        target: `${repositoryPath(this.#options.session.host, repository, 'blobs', 'uploads')}/${query}`,
        scopes,
        accept: query === '' ? [202] : [201, 202],
      });
      discard(response);
      if (response.statusCode === 201) return undefined;
      const location = header(response, 'location');
      if (location === undefined) throw invalid(asked, 'began an upload without a Location');
      return { location };
    });
  }

  async #finishUpload(
    repository: string,
    session: UploadSession,
    descriptor: Descriptor,
    source: BlobStream,
    options: UploadOptions,
  ): Promise<void> {
    const separator = session.location.includes('?') ? '&' : '?';
    try {
      const { response, asked } = await this.#send(options, {
        method: 'PUT',
        target: `${session.location}${separator}digest=${encodeURIComponent(descriptor.digest)}`,
        headers: { 'content-type': 'application/octet-stream', 'content-length': String(descriptor.size) },
        body: pipeVerified(source.stream, descriptor, options.onBytes),
        scopes: push(repository),
        accept: [201, 204],
      });
      discard(response);
      const digest = statedDigest(response, asked);
      if (digest !== undefined && digest !== descriptor.digest) throw invalid(asked, `stored ${digest}`);
    } catch (error) {
      source.stream.destroy();
      await this.#cancelUpload(repository, session, options);
      const atSource = sourceError(error, source.host);
      if (atSource === undefined && error instanceof RegistryError && error.kind === 'throttled') {
        this.#options.pacer?.throttled('finish-upload');
      }
      throw atSource ?? error;
    }
  }

  /** Best effort: registries clean up by themselves, some do not know DELETE here. */
  async #cancelUpload(repository: string, session: UploadSession, context: RequestContext): Promise<void> {
    const { onRequest } = context;
    const signal = AbortSignal.timeout(5_000);
    await this.#send(
      { signal, ...(onRequest && { onRequest }) },
      { method: 'DELETE', target: session.location, scopes: push(repository), accept: [200, 202, 204, 404, 405] },
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

const UPLOAD_ATTEMPTS = 3;

/** Carries an error past a retry that is not meant for it. */
class SpentError extends Error {}

async function once<T>(promise: Promise<T>): Promise<T> {
  return promise.catch((error: unknown) => {
    throw new SpentError('spent', { cause: error });
  });
}

const NO_MOUNT: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'invalid', 'absent']);

/** An upload that failed because of its source is the source's error. */
function sourceError(error: unknown, host: string): RegistryError | undefined {
  const cause = error instanceof RegistryError ? error.cause : undefined;
  if (cause instanceof ContentMismatchError) {
    return new RegistryError(cause.message, { kind: 'invalid', host, retryable: true, cause });
  }
  if (cause instanceof SourceBrokenError) return new RegistryError(cause.message, { kind: 'unreachable', host, cause });
  return undefined;
}
