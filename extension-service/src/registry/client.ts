import type { IncomingMessage } from 'node:http';
import { isDigest } from '../core/image/reference.js';
import { hasFirstByte, redirectsToStorage, statedSize, wholeSize } from './blob-answers.js';
import { openBlob } from './blob-read.js';
import { BlobUploader, type BlobStream, type UploadOptions } from './blob-upload.js';
import { RegistryError } from './errors.js';
import { algorithmOf, canBeDigest, digestFault, digestOf, statedDigest, storedDigest } from './digests.js';
import { nextLink } from './link-header.js';
import { nextQuery, referrersPage, tagsIn, type ReferrersPage } from './list-answers.js';
import { ManifestHeads } from './manifest-head.js';
import { explainManifestRefusal, isAboutImmutability, isLagging, isVagueRefusal } from './manifest-refusal.js';
import {
  InvalidManifestError,
  isManifestType,
  MANIFEST_ACCEPT,
  MANIFEST_LIMIT,
  MEDIA_TYPES,
  mediaTypeIn,
  mediaTypeOf,
  type RawManifest,
} from './manifest.js';
import { repositoryPath } from './paths.js';
import { sendPush, type PushOptions } from './send-push.js';
import type { SinglePosts } from './single-posts.js';
import { header, invalid, readBody, refusePage, type RequestInfo } from './transport/answers.js';
import { parseDiagnostics } from './transport/diagnostics.js';
import { discard, readErrorBody } from './transport/discard.js';
import { withRetry, type RetryPolicy, type RetryTools } from './transport/retry.js';
import { pull, push, remove, type SessionAnswer, type SessionRequest } from './transport/session.js';
import type { Descriptor, RequestContext } from './types.js';

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/**
 * Delays in milliseconds before a manifest is put again, if the registry does not see its layers yet, which were just
 * sent.
 */
const RETRY_AFTER_PUSH_MS = [250, 500, 1_000];

/** Pauses before listed content is requested again, as multiples of the delay before a retry: half a second and two seconds. */
const ABSENT_PAUSE_FACTORS = [2, 8];

/**
 * The answer of a server written in Go for an unknown route (distribution); for a digest, registries answer in JSON.
 */
const NO_ROUTE = /^404 page not found\s*$/;
/** How long, in milliseconds, a registry that did not know the route counts as one without the referrers API. */
const NO_ROUTE_MS = 600_000;

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

export interface ManifestHead {
  /** Absent if the registry does not return it (Docker-Content-Digest is optional). */
  readonly digest?: string;
  readonly mediaType: string;
  readonly size?: number;
}

export type { ReferrersPage } from './list-answers.js';
export type { BlobStream, UploadOptions } from './blob-upload.js';

export interface RegistryClientOptions extends PushOptions {
  readonly retry: RetryPolicy;
  readonly retryTools: RetryTools;
  readonly singlePosts: SinglePosts;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * A client of one registry with one keychain: the OCI distribution API, with manifests as raw bytes whose digests are
 * verified. Every method rejects with a RegistryError, or with the abort's reason. Small requests are retried; uploads
 * are not, since their source must be opened again.
 */
export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #uploader: BlobUploader;
  readonly #heads: ManifestHeads;
  /** Blobs (`repository@digest`) that the registry has with another size. */
  readonly #damaged = new Set<string>();
  /** Until when the registry counts as one without the referrers API; milliseconds since the epoch. */
  #withoutReferrers = 0;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
    this.#heads = new ManifestHeads(options.session.host);
    this.#uploader = new BlobUploader({
      ...options,
      hasBlob: (repository, blob, context) => this.headBlob(repository, blob, context),
    });
  }

  get host(): string {
    return this.#options.session.host;
  }

  /** Undefined if it does not exist. `reference` is a tag or a digest. */
  async headManifest(
    repository: string,
    reference: string,
    context?: RequestContext,
  ): Promise<ManifestHead | undefined> {
    return this.#retried(context, () =>
      this.#heads.ask(
        () => this.#headWithoutGet(repository, reference, context),
        () => this.#headByGet(repository, reference, context),
        context?.isNeeded,
      ),
    );
  }

  async #headWithoutGet(
    repository: string,
    reference: string,
    context: RequestContext | undefined,
  ): Promise<ManifestHead | undefined> {
    const { response, asked } = await this.#send(context, {
      method: 'HEAD',
      target: this.#path(repository, 'manifests', reference),
      headers: { accept: MANIFEST_ACCEPT },
      scopes: pull(repository),
      mayBeHidden: true,
      accept: [200, 404],
    });
    discard(response);
    if (response.statusCode === 404) return undefined;
    const mediaType = mediaTypeIn(response.headers['content-type']);
    if (mediaType === 'text/html')
      throw invalid(asked, 'answered an HTML page: is there a proxy or login page in between?');
    const digest = statedDigest(response, asked);
    if (digest !== undefined && isDigest(reference) && !canBeDigest(digest, reference)) {
      throw invalid(asked, `says that ${reference} is ${digest}`);
    }
    const length = header(response, 'content-length');
    return {
      mediaType,
      ...(digest !== undefined && { digest }),
      ...(length !== undefined && /^\d{1,15}$/.test(length) && { size: Number(length) }),
    };
  }

  async #headByGet(
    repository: string,
    reference: string,
    context: RequestContext | undefined,
  ): Promise<ManifestHead | undefined> {
    try {
      const { digest, mediaType, bytes } = await this.#getOnce(repository, reference, context);
      return { digest, mediaType, size: bytes.length };
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'absent') return undefined;
      throw error;
    }
  }

  /** Throws kind `absent` if it does not exist, `invalid` if the bytes do not match the digest. */
  async getManifest(repository: string, reference: string, context?: RequestContext): Promise<RawManifest> {
    return this.#patiently(context, () => this.#retried(context, () => this.#getOnce(repository, reference, context)));
  }

  /** Damaged content is read once more: caches and proxies return an empty, cut or foreign body now and then. */
  async #getOnce(
    repository: string,
    reference: string,
    context: RequestContext | undefined,
    isAgain = false,
  ): Promise<RawManifest> {
    const { response, asked } = await this.#send(context, {
      method: 'GET',
      target: this.#path(repository, 'manifests', reference),
      headers: { accept: MANIFEST_ACCEPT },
      scopes: pull(repository),
      mayBeHidden: true,
      // The bytes are verified: a proxy may answer 203, or 206 for all of them.
      accept: [200, 203, 206],
    });
    const bytes = await readBody(response, MANIFEST_LIMIT, asked, context?.signal);
    if (!isAgain && isDigest(reference) && digestOf(bytes, algorithmOf(reference)) !== reference) {
      const { retry, retryTools } = this.#options;
      await retryTools.sleep(retry.baseDelay, context?.signal);
      context?.signal?.throwIfAborted();
      return this.#getOnce(repository, reference, context, true);
    }
    const manifest = verifyManifest(bytes, reference, response, asked);
    const refusal = isManifestType(manifest.mediaType) ? '' : refusalIn(bytes);
    if (refusal !== '') throw invalid(asked, `answered ${response.statusCode ?? 0} with an error: ${refusal}`);
    return manifest;
  }

  /**
   * Whether the registry explicitly reports that it does not know the repository (`NAME_UNKNOWN`); false for every
   * other answer. Manifest requests do not show this (distribution: MANIFEST_UNKNOWN), the list of tags does.
   */
  async isRepositoryUnknown(repository: string, context?: RequestContext): Promise<boolean> {
    try {
      const { response } = await this.#send(context, {
        method: 'GET',
        target: `${this.#path(repository, 'tags', 'list')}?n=1`,
        scopes: pull(repository),
        mayBeHidden: true,
        accept: [200],
      });
      discard(response);
      return false;
    } catch (error) {
      if (!(error instanceof RegistryError) || error.status !== 404) throw error;
      return error.diagnostics.some(({ code }) => code === 'NAME_UNKNOWN');
    }
  }

  /**
   * One page of the referrers of a digest; `query` is '' or the previous page's next query. An answer that is not an
   * index means that the registry does not have the API. Rejects for temporary failures: 401, 429 and 5xx except 501.
   */
  async getReferrers(
    repository: string,
    digest: string,
    query: string,
    context?: RequestContext,
  ): Promise<ReferrersPage> {
    if (this.#options.now() < this.#withoutReferrers) return { kind: 'none' };
    return this.#retried(context, async () => {
      let answer: SessionAnswer;
      const target = this.#path(repository, 'referrers', digest);
      try {
        answer = await this.#send(context, {
          method: 'GET',
          target: `${target}${query}`,
          headers: { accept: MEDIA_TYPES.ociIndex },
          scopes: pull(repository),
          accept: NO_REFERRERS_API,
        });
      } catch (error) {
        if (!(error instanceof RegistryError) || !isRefusal(error)) throw error;
        return { kind: 'none', refusal: error };
      }
      const { response, asked } = answer;
      if (response.statusCode !== 200) {
        const body = await readErrorBody(response, () => response);
        if (response.statusCode === 404 && NO_ROUTE.test(body))
          this.#withoutReferrers = this.#options.now() + NO_ROUTE_MS;
        return { kind: 'none' };
      }
      const bytes = await readBody(response, MANIFEST_LIMIT, asked, context?.signal);
      return referrersPage(bytes, header(response, 'link'), new URL(target, asked.url));
    });
  }

  /**
   * Whether the blob exists. Also false if the registry does not answer: after a rejected HEAD the blob is sent. A
   * redirect to another origin means that it exists: stores sign such URLs for GET, and answer HEAD with 403. A blob of
   * another size than `size` is damaged, and is sent again.
   */
  async headBlob(
    repository: string,
    { digest, size }: Pick<Descriptor, 'digest'> & Partial<Descriptor>,
    context?: RequestContext,
  ): Promise<boolean> {
    const request: SessionRequest = {
      method: 'HEAD',
      target: this.#path(repository, 'blobs', digest),
      scopes: pull(repository),
      accept: [200, 404, ...REDIRECTS],
    };
    try {
      return await this.#retried(context, async () => {
        const { response, asked } = await this.#send(context, request);
        discard(response);
        const status = response.statusCode ?? 0;
        const isRedirect = REDIRECTS.includes(status);
        if (isRedirect && redirectsToStorage(header(response, 'location'), asked)) return true;
        const followed = isRedirect ? await this.#send(context, { ...request, accept: [200, 404] }) : { response };
        if (isRedirect) discard(followed.response);
        if (followed.response.statusCode !== 200) return false;
        const stated = statedSize(followed.response);
        if (size === undefined || stated === undefined || stated === size) return true;
        // Some answer every HEAD with the length 0.
        if (stated === 0 && (await this.canReadBlob(repository, { mediaType: '', digest, size }, context))) return true;
        this.#damaged.add(`${repository}@${digest}`);
        return false;
      });
    } catch (error) {
      if (error instanceof RegistryError && error.status !== undefined && error.kind !== 'throttled') return false;
      throw error;
    }
  }

  /** Whether the registry returns the first byte of a blob: it may list a blob that it has lost. */
  async canReadBlob(repository: string, { digest, size }: Descriptor, context?: RequestContext): Promise<boolean> {
    if (size === 0) return this.headBlob(repository, { digest, size }, context);
    const first = { range: 'bytes=0-0' };
    try {
      // A registry without ranges may reject the header, or send everything, of which one piece is read.
      return (
        (await this.#canReadByte(repository, { digest, size }, first, context)) ??
        (await this.#canReadByte(repository, { digest, size }, {}, context)) ??
        false
      );
    } catch (error) {
      // Some answer 500 for a missing file, or close the connection. Other failures recur
      // with the following upload.
      if (error instanceof RegistryError && (error.kind === 'server' || error.kind === 'unreachable')) return false;
      throw error;
    }
  }

  /** Undefined for a range that the registry does not return. */
  async #canReadByte(
    repository: string,
    { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
    headers: Readonly<Record<string, string>>,
    context: RequestContext | undefined,
  ): Promise<boolean | undefined> {
    return this.#retried(context, async () => {
      const { response } = await this.#send(context, {
        method: 'GET',
        target: this.#path(repository, 'blobs', digest),
        headers,
        scopes: pull(repository),
        accept: [200, 206, 404, 416],
      });
      if (response.statusCode === 404 || response.statusCode === 416) {
        discard(response);
        return response.statusCode === 416 ? undefined : false;
      }
      if ((wholeSize(response) ?? size) !== size) {
        response.destroy();
        this.#damaged.add(`${repository}@${digest}`);
        return false;
      }
      return hasFirstByte(response, context?.signal);
    });
  }

  /** The blob's bytes as a stream, not yet verified; the caller checks the digest, or destroys the stream. */
  async getBlob(repository: string, descriptor: Descriptor, context?: RequestContext): Promise<BlobStream> {
    const open = (): Promise<BlobStream> =>
      openBlob({
        host: this.host,
        repository,
        target: this.#path(repository, 'blobs', descriptor.digest),
        descriptor,
        send: (request) => this.#send(context, request),
        retried: (attempt) => this.#retried(context, attempt),
      });
    return this.#patiently(context, open);
  }

  /**
   * Pushes a blob: by a mount if `from` names a repository of this registry that has it, else from the stream that
   * `open` returns, verified while streaming. If a download is interrupted, the rest is requested; if the registry loses an
   * upload, it restarts with a new stream.
   */
  async uploadBlob(
    repository: string,
    descriptor: Descriptor,
    open: () => Promise<BlobStream>,
    options: UploadOptions = {},
  ): Promise<'mounted' | 'uploaded'> {
    const outcome = await this.#uploader.upload(repository, descriptor, open, options);
    const key = `${repository}@${descriptor.digest}`;
    if (!this.#damaged.delete(key) || (await this.headBlob(repository, descriptor, options))) return outcome;
    const text = `${repository}: the registry keeps ${descriptor.digest} with another size, and ignores a new upload: delete the blob there`;
    throw new RegistryError(text, { kind: 'server', host: this.host });
  }

  /** Starts an upload and cancels it, to test whether the credentials may push without leaving anything behind. */
  async probePush(repository: string, context?: RequestContext): Promise<void> {
    await this.#uploader.probePush(repository, context);
  }

  /**
   * Sends a write of a push that cannot succeed, to test only the permission; for repositories that do not exist.
   * `path` is below the repository, such as `manifests/latest`.
   */
  async probeWrite(repository: string, method: 'PUT' | 'PATCH', path: string, context?: RequestContext): Promise<void> {
    const { response } = await this.#send(context, {
      method,
      target: this.#path(repository, ...path.split('/')),
      headers: { 'content-type': method === 'PATCH' ? 'application/octet-stream' : MANIFEST_TYPE },
      body: Buffer.from('{}'),
      scopes: push(repository),
      accept: [400, 404, 405],
    });
    discard(response);
  }

  /**
   * `reference` is a tag or the manifest's own digest. True if the registry processes `subject` (OCI-Subject). A conflict
   * is not always with an immutable tag: registries also answer so while another request stores the same manifest.
   */
  async putManifest(
    repository: string,
    reference: string,
    manifest: RawManifest,
    context?: RequestContext,
  ): Promise<{ readonly subjectKept: boolean }> {
    for (const pause of [...RETRY_AFTER_PUSH_MS, undefined]) {
      try {
        const kept = await this.#retried(context, () => this.#putOnce(repository, reference, manifest, context));
        await this.#heads.check(() => this.#headWithoutGet(repository, reference, context));
        return kept;
      } catch (error) {
        const isFirst = pause === RETRY_AFTER_PUSH_MS[0];
        const isConflict = error instanceof RegistryError && error.kind === 'conflict';
        const there = isConflict ? await this.headManifest(repository, reference, context) : undefined;
        // Another request was faster.
        if (there?.digest === manifest.digest) return { subjectKept: true };
        const isContested = isConflict && there === undefined && !isAboutImmutability(error);
        if (pause === undefined || !(isContested || isLagging(error) || (isFirst && isVagueRefusal(error))))
          throw explainManifestRefusal(error, manifest);
        await this.#options.retryTools.sleep(pause, context?.signal);
        context?.signal?.throwIfAborted();
      }
    }
    throw new Error('unreachable');
  }

  async #putOnce(
    repository: string,
    reference: string,
    manifest: RawManifest,
    context: RequestContext | undefined,
  ): Promise<{ readonly subjectKept: boolean }> {
    const { response, asked } = await sendPush(this.#options, repository, 'put-manifest', context, {
      method: 'PUT',
      target: this.#path(repository, 'manifests', reference),
      headers: { 'content-type': manifest.mediaType },
      body: manifest.bytes,
      scopes: push(repository),
      accept: [200, 201, 202, 204],
    });
    if (response.statusCode === 200) refusePage(response, asked);
    discard(response);
    const digest = storedDigest(response);
    if (digest !== undefined && !canBeDigest(digest, manifest.digest)) {
      throw invalid(asked, `stored ${digest} instead of ${manifest.digest}`);
    }
    return { subjectKept: header(response, 'oci-subject') !== undefined };
  }

  /** Every tag of a repository; none if it does not exist. */
  async listTags(repository: string, context?: RequestContext): Promise<readonly string[]> {
    const tags: string[] = [];
    const target = this.#path(repository, 'tags', 'list');
    let query = FIRST_TAGS;
    for (let page = 0; ; page++) {
      const answer = await this.#retried(context, async () => {
        const page: SessionRequest = {
          method: 'GET',
          target: `${target}${query}`,
          scopes: pull(repository),
          accept: [200, 404],
        };
        const { response, asked } = await this.#send(context, page).catch((error: unknown) => {
          // Some have a lower maximum of `n`.
          if (query !== FIRST_TAGS || !(error instanceof RegistryError) || error.status !== 400) throw error;
          return this.#send(context, { ...page, target });
        });
        if (response.statusCode === 404) {
          discard(response);
          return undefined;
        }
        const bytes = await readBody(response, MANIFEST_LIMIT, asked, context?.signal);
        return {
          tags: tagsIn(bytes, asked),
          next: nextLink(header(response, 'link')),
          url: new URL(target, asked.url),
        };
      });
      if (answer === undefined) return tags;
      tags.push(...answer.tags);
      if (answer.next === undefined) return tags;
      const next = nextQuery(answer.next, answer.url);
      if (page >= MAX_TAG_PAGES || next === query || next === '')
        throw new RegistryError(`${repository} has too many tags, or a list of them that cannot be followed`, {
          kind: 'invalid',
          host: this.host,
        });
      query = next;
    }
  }

  /** Deletes a manifest by digest, or a tag. @returns false if it did not exist */
  async deleteManifest(repository: string, reference: string, context?: RequestContext): Promise<boolean> {
    return this.#retried(context, async () => {
      const { response } = await this.#send(context, {
        method: 'DELETE',
        target: this.#path(repository, 'manifests', reference),
        scopes: remove(repository),
        accept: [200, 202, 204, 404],
      });
      discard(response);
      return response.statusCode !== 404;
    });
  }

  /** Asks a few times for content that the registry refers to and does not return. */
  async #patiently<T>(context: RequestContext | undefined, read: () => Promise<T>): Promise<T> {
    const { retry, retryTools } = this.#options;
    for (const factor of context?.isListed === true ? ABSENT_PAUSE_FACTORS : []) {
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof RegistryError) || error.kind !== 'absent') throw error;
        await retryTools.sleep(retry.baseDelay * factor, context?.signal);
        context?.signal?.throwIfAborted();
      }
    }
    return read();
  }

  #path(repository: string, ...rest: readonly string[]): string {
    return repositoryPath(this.host, repository, ...rest);
  }

  #send(context: RequestContext | undefined, request: SessionRequest): Promise<SessionAnswer> {
    return this.#options.session.send(request, context);
  }

  #retried<T>(context: RequestContext | undefined, attempt: () => Promise<T>): Promise<T> {
    return withRetry(this.#options.retry, this.#options.retryTools, context?.signal, attempt);
  }
}

/** The query of the first page of a list of tags. */
const FIRST_TAGS = '?n=1000';

/** Pages of a list of tags. */
const MAX_TAG_PAGES = 1_000;

/** 303 leads to a web page (GHCR), which is not requested. */
const NO_REFERRERS_API: readonly number[] = [200, 204, 303, 400, 404, 405, 406, 410, 501];

/** A permanent negative answer; 403 and unusual ones are worth a warning. */
function isRefusal({ kind, status, retryable }: RegistryError): boolean {
  if (retryable || kind === 'unauthorized' || kind === 'unreachable') return false;
  return status !== undefined || kind === 'invalid' || kind === 'refused';
}

/** The text of an error body, which some proxies send with status 200. */
function refusalIn(bytes: Buffer): string {
  return parseDiagnostics(bytes.toString('utf8'))
    .map(({ code, message }) => [code, message].filter((part) => part !== '').join(': '))
    .join('; ');
}

function verifyManifest(bytes: Buffer, reference: string, response: IncomingMessage, asked: RequestInfo): RawManifest {
  const stated = statedDigest(response, asked);
  const expected = isDigest(reference) ? reference : stated;
  if (reference.includes(':') && !isDigest(reference)) throw invalid(asked, digestFault(reference));
  const algorithm = expected?.split(':')[0] ?? 'sha256';
  let mediaType: string;
  try {
    mediaType = mediaTypeOf(header(response, 'content-type'), bytes);
  } catch (error) {
    if (error instanceof InvalidManifestError) throw invalid(asked, error.message, error);
    throw error;
  }
  const digest = digestOf(bytes, algorithm);
  if (expected !== undefined && expected !== digest) {
    throw invalid(asked, `the manifest's digest is ${digest}, not ${expected}`);
  }
  // The same bytes have a digest for each algorithm; only digests of equal algorithms can be compared.
  if (stated !== undefined && stated !== digest && stated.startsWith(`${algorithm}:`)) {
    throw invalid(asked, `the manifest's digest is ${digest}, but its header says ${stated}`);
  }
  return { mediaType, digest, bytes };
}
