import { createHash, type Hash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { RegistryError } from './errors.js';
import { KeptBytes } from './kept-bytes.js';
import { PipeWaits } from './pipe-waits.js';
import type { BodyWriter } from './transport/http.js';
import type { TakePiece } from './transport/read-buffers.js';
import type { RetryPolicy, RetryTools } from './transport/retry.js';
import type { Descriptor } from './types.js';

/** A blob as its registry sends it, from a given byte on. */
export interface BlobStream {
  /** The registry that it comes from, for messages. */
  readonly host: string;
  readonly stream: Readable;
  /** Hands out the bytes of the stream's `data` events in pieces of memory, which is reused once they are released. */
  readonly pieces?: (take: TakePiece) => void;
  /** Bytes at the beginning that were not requested, because the response ignores the Range. */
  readonly skip: number;
  /** Whether the registry states that the blob ends where the stream does; otherwise it may be incomplete. */
  readonly whole: boolean;
  /** Requests the rest of the blob, from a given byte on. */
  readonly resume: (from: number) => Promise<BlobStream>;
}

/** The source's bytes do not match the descriptor. */
export class ContentMismatchError extends Error {
  override readonly name = 'ContentMismatchError';
}

/** The source stopped sending, and further requests brought nothing more. */
export class SourceInterruptedError extends Error {
  override readonly name = 'SourceInterruptedError';
}

export interface BlobSourceOptions {
  readonly retry: RetryPolicy;
  readonly retryTools: RetryTools;
  readonly signal: AbortSignal | undefined;
  /** Number of sent bytes to keep, in case the target loses them. */
  readonly keepBytes: number;
  /** Called with the number of bytes sent so far. */
  readonly onBytes?: ((total: number) => void) | undefined;
}

/** Fewer new bytes than this do not count as progress: a source could send single bytes forever. */
const PROGRESS_BYTES = 16 * 1024;
/** Bytes between two saved states of the hash; a copy returns to one when the target has lost bytes. */
const CHECKPOINT_BYTES = 1024 * 1024;

/**
 * A blob in transit from a source to one or more requests. It is hashed while streaming, and a slow target pauses the
 * source. The blob's last bytes are sent only once size and digest are right, so a lying source can never complete an
 * upload, even if the target does not check. If a download is interrupted, the rest is requested, and the hash continues.
 */
export class BlobSource {
  readonly #descriptor: Descriptor;
  readonly #options: BlobSourceOptions;
  readonly #kept = new KeptBytes();
  /** Pieces to release once their bytes before `end` are sent. */
  readonly #held: { readonly end: number; readonly release: () => void }[] = [];
  readonly #waits = new PipeWaits();
  #from: BlobStream;
  #skip = 0;
  #hash: Hash;
  #checkpoints: { readonly at: number; readonly hash: Hash }[];
  /** The next byte of the source; the hash covers all bytes before it. */
  #position = 0;
  /** The next byte to send. */
  #cursor = 0;
  #until = 0;
  #request: Writable | undefined;
  #blocked = false;
  #ended = false;
  #digestIsRight = false;
  #closed = false;
  #resumedAt = 0;
  #triesWithoutProgress = 0;
  /** Why the source cannot continue. */
  failure: Error | undefined;

  constructor(descriptor: Descriptor, from: BlobStream, options: BlobSourceOptions) {
    this.#descriptor = descriptor;
    this.#options = options;
    this.#hash = createHash(this.#algorithm);
    this.#checkpoints = [{ at: 0, hash: this.#hash.copy() }];
    this.#from = from;
    this.#attach(from);
  }

  get host(): string {
    return this.#from.host;
  }

  /** Number of bytes that were handed to requests. Only if it is the size, the blob was verified. */
  get sent(): number {
    return this.#cursor;
  }

  /** Writes the bytes from the end of the last request or `rewind` up to `until`. One request at a time. */
  body(until: number): BodyWriter {
    return (request) => {
      if (this.failure !== undefined) {
        request.destroy(this.failure);
        return;
      }
      this.#request = request;
      this.#until = until;
      this.#blocked = false;
      request.once('close', () => {
        if (this.#request !== request) return;
        this.#request = undefined;
        this.#waits.waitFor(undefined);
        if (this.#position < this.#descriptor.size) this.#from.stream.pause();
      });
      this.#pump();
    };
  }

  /** The target has permanently stored all bytes before `offset`. */
  acknowledge(offset: number): void {
    const last = this.#checkpoints.findLastIndex(({ at }) => at <= offset);
    if (last > 0) this.#checkpoints.splice(1, last - 1);
  }

  /** The target has only the bytes before `offset`: continues from there, and reads again what is not in memory. */
  async rewind(offset: number): Promise<void> {
    // A request that was answered before its end gets no more bytes.
    this.#request = undefined;
    if (offset === this.#cursor || offset >= this.#kept.start) {
      this.#cursor = offset;
      return;
    }
    const index = this.#checkpoints.findLastIndex(({ at }) => at <= offset);
    const { at, hash } = this.#checkpoints[Math.max(index, 0)] ?? { at: 0, hash: createHash(this.#algorithm) };
    this.#checkpoints.length = Math.max(index, 0) + 1;
    const { resume } = this.#from;
    this.#detach();
    this.#hash = hash.copy();
    this.#position = at;
    this.#kept.clear(at);
    this.#cursor = offset;
    this.#digestIsRight = false;
    this.#resumedAt = at;
    this.#attach(await resume(at));
  }

  /** Stops reading. */
  close(): void {
    this.#closed = true;
    this.#request = undefined;
    this.#detach();
  }

  get #algorithm(): string {
    const { digest } = this.#descriptor;
    return digest.slice(0, digest.indexOf(':'));
  }

  #attach(from: BlobStream): void {
    this.#from = from;
    this.#skip = from.skip;
    this.#ended = false;
    const { stream } = from;
    const isCurrent = (): boolean => this.#from === from && !this.#closed;
    stream.on('error', (error) => isCurrent() && this.#handleBreak(error));
    if (this.#closed) {
      stream.destroy();
      return;
    }
    // Pieces that are kept after they were sent would never be released.
    if (from.pieces === undefined || this.#options.keepBytes > 0) {
      stream.on('data', (piece: Buffer) => isCurrent() && this.#take(piece));
    } else {
      from.pieces((piece, release) => {
        if (!isCurrent()) return;
        this.#held.push({ end: this.#position + piece.length - Math.min(this.#skip, piece.length), release });
        this.#take(piece);
      });
    }
    stream.on('end', () => isCurrent() && this.#end());
    stream.pause();
    this.#pump();
  }

  #detach(): void {
    const { stream } = this.#from;
    stream.on('error', () => undefined);
    if (!stream.readableEnded) stream.destroy();
  }

  #take(piece: Buffer): void {
    const skipped = Math.min(this.#skip, piece.length);
    this.#skip -= skipped;
    const fresh = skipped === 0 ? piece : piece.subarray(skipped);
    if (fresh.length === 0) return;
    const { digest, size } = this.#descriptor;
    this.#position += fresh.length;
    if (this.#position > size) {
      return this.#fail(new ContentMismatchError(`the source sent more than the ${size} bytes of ${digest}`));
    }
    this.#hash.update(fresh);
    this.#kept.add(fresh);
    if (this.#options.keepBytes > 0 && this.#position - (this.#checkpoints.at(-1)?.at ?? 0) >= CHECKPOINT_BYTES) {
      this.#checkpoints.push({ at: this.#position, hash: this.#hash.copy() });
    }
    this.#pump();
  }

  #end(): void {
    const { digest, size } = this.#descriptor;
    this.#ended = true;
    if (this.#position === size) return this.#pump();
    if (!this.#from.whole) return this.#handleBreak(new Error('the connection was closed'));
    this.#fail(new ContentMismatchError(`the source sent ${this.#position} of the ${size} bytes of ${digest}`));
  }

  /** Requests the rest; only tries that bring nothing count. */
  #handleBreak(error: Error): void {
    const { size } = this.#descriptor;
    if (this.#position === size && size > 0) return;
    const { retry, retryTools, signal } = this.#options;
    const received = this.#position - this.#resumedAt;
    this.#triesWithoutProgress = received >= PROGRESS_BYTES ? 0 : this.#triesWithoutProgress + 1;
    this.#resumedAt = this.#position;
    if (this.#triesWithoutProgress >= retry.attempts) {
      const where = `at byte ${this.#position} of ${size}`;
      return this.#fail(
        new SourceInterruptedError(`the body ended early ${where}: ${error.message}`, { cause: error }),
      );
    }
    const pause = retryTools.random() * Math.min(retry.maxDelay, retry.baseDelay * 2 ** this.#triesWithoutProgress);
    const { resume } = this.#from;
    const again = async (): Promise<void> => {
      if (this.#triesWithoutProgress > 0) await retryTools.sleep(pause, signal);
      signal?.throwIfAborted();
      if (this.#closed) return;
      this.#attach(await resume(this.#position));
    };
    again().catch((reason: unknown) => this.#fail(reason instanceof Error ? reason : new Error(String(reason))));
  }

  /** Sends the available bytes that may be sent, then resumes or pauses the source. */
  #pump(): void {
    const { size } = this.#descriptor;
    const { stream } = this.#from;
    while (this.#request !== undefined && !this.#blocked && this.#hasMore()) {
      const piece = this.#kept.read(this.#cursor, Math.min(this.#until, this.#position));
      const next = this.#cursor + piece.length;
      if (next === size && !this.#verify()) return;
      this.#cursor = next;
      const request = this.#request;
      if (next === this.#until) {
        this.#request = undefined;
        request.end(piece, () => this.#release(next));
      } else if (!request.write(piece, () => this.#release(next))) {
        this.#blocked = true;
        request.once('drain', () => {
          if (this.#request !== request) return;
          this.#blocked = false;
          this.#pump();
        });
      }
      this.#kept.trim(this.#cursor - this.#options.keepBytes);
      this.#options.onBytes?.(this.#cursor);
    }
    this.#waits.waitFor(this.#request === undefined ? undefined : this.#blocked ? 'target' : 'source');
    // Also after its last byte: only a stream that has ended releases its connection.
    const isRead = this.#position === size;
    if (isRead || (this.#request !== undefined && !this.#blocked)) stream.resume();
    else stream.pause();
  }

  #release(sent: number): void {
    while ((this.#held[0]?.end ?? Infinity) <= sent) this.#held.shift()?.release();
  }

  #hasMore(): boolean {
    // An empty blob has nothing to send but its end.
    if (this.#descriptor.size === 0) return this.#ended;
    return this.#cursor < Math.min(this.#until, this.#position);
  }

  #verify(): boolean {
    if (this.#digestIsRight) return true;
    const { digest } = this.#descriptor;
    const found = `${this.#algorithm}:${this.#hash.copy().digest('hex')}`;
    this.#digestIsRight = found === digest;
    if (!this.#digestIsRight) this.#fail(new ContentMismatchError(`the source sent ${found} for ${digest}`));
    return this.#digestIsRight;
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.failure ??= error;
    const request = this.#request;
    this.close();
    request?.destroy(error);
  }

  /** Whether the requests have waited for the source more than for the target. */
  get isStarving(): boolean {
    return this.#waits.isStarved;
  }

  /** Whether the download was interrupted and enough retries failed. */
  get isBroken(): boolean {
    return this.failure instanceof SourceInterruptedError;
  }

  /** The failure as the source's own error; undefined if the source is not at fault. */
  get error(): Error | undefined {
    const { failure } = this;
    if (failure === undefined || failure instanceof RegistryError) return failure;
    const details = { host: this.host, cause: failure };
    if (failure instanceof ContentMismatchError) {
      return new RegistryError(failure.message, { ...details, kind: 'invalid', retryable: true });
    }
    if (failure instanceof SourceInterruptedError) {
      return new RegistryError(failure.message, { ...details, kind: 'unreachable' });
    }
    return failure;
  }
}
