import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { RegistryError } from './errors.js';
import { InvalidManifestError, MANIFEST_ACCEPT, mediaTypeOf, type RawManifest } from './manifest.js';
import { ContentMismatchError, pipeVerified, SourceBrokenError } from './transfer.js';
import { discard, invalid, readBody, type Asked } from './transport/answers.js';
import { withRetry, type RetryPolicy, type RetryTools } from './transport/retry.js';
import type { Scope, Session, SessionAnswer, SessionRequest } from './transport/session.js';
import type { Descriptor, RequestContext } from './types.js';

/** OCI distribution-spec, "Pushing Manifests": registries must take 4 MiB; nobody needs more. */
export const MANIFEST_LIMIT = 4 * 1024 * 1024;

export interface ManifestHead {
  /** Absent when the registry does not say (Docker-Content-Digest is optional). */
  readonly digest?: string;
  readonly mediaType: string;
  readonly size?: number;
}

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

export interface RegistryClientOptions {
  readonly session: Session;
  readonly retry: RetryPolicy;
  readonly retryTools: RetryTools;
}

/**
 * One registry as one keychain sees it: the OCI distribution API, with manifests as raw bytes whose digests are checked.
 * Every method rejects with a RegistryError, or with the abort's reason. Small requests are retried; an upload is not,
 * since its source must be opened again.
 */
export class RegistryClient {
  readonly #options: RegistryClientOptions;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
  }

  get host(): string {
    return this.#options.session.host;
  }

  /** Undefined when it is not there. `reference` is a tag or a digest. */
  async headManifest(
    repository: string,
    reference: string,
    context?: RequestContext,
  ): Promise<ManifestHead | undefined> {
    return this.#retried(context, async () => {
      const { response, asked } = await this.#send(context, {
        method: 'HEAD',
        target: `/v2/${repository}/manifests/${reference}`,
        headers: { accept: MANIFEST_ACCEPT },
        scopes: pull(repository),
        accept: [200, 404],
      });
      discard(response);
      if (response.statusCode === 404) return undefined;
      const mediaType = (response.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
      if (mediaType === 'text/html')
        throw invalid(asked, 'answered an HTML page: is there a proxy or login page in between?');
      const digest = header(response, 'docker-content-digest');
      if (digest !== undefined && reference.includes(':') && digest !== reference) {
        throw invalid(asked, `says that ${reference} is ${digest.slice(0, 150)}`);
      }
      const length = header(response, 'content-length');
      return {
        mediaType,
        ...(digest !== undefined && { digest }),
        ...(length !== undefined && { size: Number(length) }),
      };
    });
  }

  /** Throws kind `absent` when it is not there, `invalid` when the bytes are not those of the digest. */
  async getManifest(repository: string, reference: string, context?: RequestContext): Promise<RawManifest> {
    return this.#retried(context, async () => {
      const { response, asked } = await this.#send(context, {
        method: 'GET',
        target: `/v2/${repository}/manifests/${reference}`,
        headers: { accept: MANIFEST_ACCEPT },
        scopes: pull(repository),
        accept: [200],
      });
      const bytes = await readBody(response, MANIFEST_LIMIT, asked, context?.signal);
      return verifyManifest(bytes, reference, response, asked);
    });
  }

  /** Any small JSON of the registry, such as the referrers of a digest; undefined when the registry has no such route. */
  async getJson(repository: string, path: string, context?: RequestContext): Promise<unknown> {
    return this.#retried(context, async () => {
      const { response, asked } = await this.#send(context, {
        method: 'GET',
        target: `/v2/${repository}/${path}`,
        scopes: pull(repository),
        accept: [200, 404],
      });
      if (response.statusCode === 404) {
        discard(response);
        return undefined;
      }
      const bytes = await readBody(response, MANIFEST_LIMIT, asked, context?.signal);
      try {
        return JSON.parse(bytes.toString('utf8')) as unknown;
      } catch (error) {
        throw invalid(asked, 'the answer is not JSON', error);
      }
    });
  }

  async headBlob(repository: string, digest: string, context?: RequestContext): Promise<boolean> {
    return this.#retried(context, async () => {
      const { response } = await this.#send(context, {
        method: 'HEAD',
        target: `/v2/${repository}/blobs/${digest}`,
        scopes: pull(repository),
        accept: [200, 404],
      });
      discard(response);
      return response.statusCode === 200;
    });
  }

  /** The blob's bytes as they come, not yet verified; whoever reads them checks the digest, or destroys the stream. */
  async getBlob(repository: string, descriptor: Descriptor, context?: RequestContext): Promise<BlobStream> {
    return this.#retried(context, async () => {
      const { response, asked } = await this.#send(context, {
        method: 'GET',
        target: `/v2/${repository}/blobs/${descriptor.digest}`,
        scopes: pull(repository),
        accept: [200],
      });
      const length = header(response, 'content-length');
      if (length !== undefined && Number(length) !== descriptor.size) {
        response.destroy();
        const html = header(response, 'content-type')?.startsWith('text/html') === true;
        const hint = html ? ' (an HTML page: is there a proxy or login page in between?)' : '';
        throw invalid(asked, `has ${length} bytes, and the manifest says ${descriptor.size}${hint}`);
      }
      return { host: this.host, stream: response };
    });
  }

  /**
   * Brings a blob here: by a mount when `from` names a repository of this registry that has it, else by one POST and one
   * PUT with the stream that `open` gives. The stream is verified while it passes; an upload that fails is cancelled and
   * tried again with a new session and a new stream, since a stream cannot be sent twice.
   */
  async uploadBlob(
    repository: string,
    descriptor: Descriptor,
    open: () => Promise<BlobStream>,
    options: UploadOptions = {},
  ): Promise<'mounted' | 'uploaded'> {
    const { retry, retryTools } = this.#options;
    // Opening and beginning have retries of their own: only what fails in between is repeated here.
    const attempts = Math.min(retry.attempts, UPLOAD_ATTEMPTS);
    let from = options.from;
    return withRetry({ ...retry, attempts }, retryTools, options.signal, async () => {
      const session = await once(this.#startUpload(repository, descriptor.digest, from, options));
      if (session === undefined) return 'mounted';
      from = undefined;
      let source: BlobStream;
      try {
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
      const { response, asked } = await this.#send(context, {
        method: 'POST',
        target: `/v2/${repository}/blobs/uploads/${query}`,
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
      const digest = header(response, 'docker-content-digest');
      if (digest !== undefined && digest !== descriptor.digest) throw invalid(asked, `stored ${digest.slice(0, 150)}`);
    } catch (error) {
      source.stream.destroy();
      await this.#cancelUpload(repository, session, options);
      throw sourceError(error, source.host) ?? error;
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

  /** `reference` is a tag or the manifest's own digest. True when the registry takes care of `subject` (OCI-Subject). */
  async putManifest(
    repository: string,
    reference: string,
    manifest: RawManifest,
    context?: RequestContext,
  ): Promise<{ readonly subjectKept: boolean }> {
    return this.#retried(context, async () => {
      const { response, asked } = await this.#send(context, {
        method: 'PUT',
        target: `/v2/${repository}/manifests/${reference}`,
        headers: { 'content-type': manifest.mediaType },
        body: manifest.bytes,
        scopes: push(repository),
        accept: [200, 201, 202],
      });
      discard(response);
      const digest = header(response, 'docker-content-digest');
      if (digest !== undefined && digest !== manifest.digest) {
        throw invalid(asked, `stored ${digest.slice(0, 150)} instead of ${manifest.digest}`);
      }
      return { subjectKept: header(response, 'oci-subject') !== undefined };
    });
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

function verifyManifest(bytes: Buffer, reference: string, response: IncomingMessage, asked: Asked): RawManifest {
  const stated = header(response, 'docker-content-digest');
  const expected = reference.includes(':') ? reference : stated;
  const algorithm = expected?.split(':')[0] ?? 'sha256';
  if (!/^sha(256|384|512)$/.test(algorithm))
    throw invalid(asked, `uses a digest that we cannot check: ${algorithm.slice(0, 40)}`);
  let mediaType: string;
  try {
    mediaType = mediaTypeOf(header(response, 'content-type'), bytes);
  } catch (error) {
    if (error instanceof InvalidManifestError) throw invalid(asked, error.message, error);
    throw error;
  }
  const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
  if (expected !== undefined && expected !== digest) {
    throw invalid(asked, `the manifest's bytes are ${digest} and not ${expected.slice(0, 150)}`);
  }
  // The same bytes have a digest for each algorithm; only equal algorithms can disagree.
  if (stated !== undefined && stated !== digest && stated.startsWith(`${algorithm}:`)) {
    throw invalid(asked, `the manifest's bytes are ${digest}, and its header says ${stated.slice(0, 150)}`);
  }
  return { mediaType, digest, bytes };
}

/** An upload that failed because of its source is the source's error. */
function sourceError(error: unknown, host: string): RegistryError | undefined {
  const cause = error instanceof RegistryError ? error.cause : undefined;
  if (cause instanceof ContentMismatchError) {
    return new RegistryError(cause.message, { kind: 'invalid', host, retryable: true, cause });
  }
  if (cause instanceof SourceBrokenError) return new RegistryError(cause.message, { kind: 'unreachable', host, cause });
  return undefined;
}

function header(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function pull(repository: string): Scope[] {
  return [{ repository, actions: 'pull' }];
}

function push(repository: string): Scope[] {
  return [{ repository, actions: 'pull,push' }];
}
