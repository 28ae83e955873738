import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addAbortSignal, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isDigest } from '../../core/image/reference.js';
import { BlobSource, type BlobStream } from '../blob-source.js';
import type { UploadOptions } from '../client.js';
import { algorithmOf, digestFault, digestOf } from '../digests.js';
import { RegistryError, type RegistryErrorKind } from '../errors.js';
import { MANIFEST_LIMIT } from '../manifest.js';
import { DEFAULT_RETRY, DEFAULT_RETRY_TOOLS } from '../transport/retry.js';
import type { Descriptor } from '../types.js';

/**
 * Directory of incomplete files, next to the layout's own: a file gets its name in `blobs` only when it is complete.
 */
export const UNFINISHED = '.unfinished';

/** The files `blobs/ALGORITHM/HEX` of an OCI image layout (image-spec, "Image Layout Specification"). */
export class BlobFiles {
  /** Whether a file matches its digest, determined by reading all of it. */
  readonly #checked = new Map<string, Promise<boolean>>();

  /** @param host names the layout in errors */
  constructor(
    private readonly folder: string,
    private readonly host: string,
  ) {}

  /** Whether the file exists and matches the digest; each file is read once. */
  async has(digest: string): Promise<boolean> {
    const known = this.#checked.get(digest);
    if (known !== undefined) return known;
    const check = this.#check(this.#path(digest), digest);
    this.#checked.set(digest, check);
    return check;
  }

  /** Bytes of the file; undefined if it does not exist. */
  async size(digest: string): Promise<number | undefined> {
    try {
      const found = await lstat(this.#path(digest));
      // A link or a device could point anywhere.
      return found.isFile() ? found.size : undefined;
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw this.#failure(error);
    }
  }

  /** Reads a small file. @throws RegistryError `absent`, or `invalid` if its bytes do not match the digest */
  async read(digest: string): Promise<Buffer> {
    const size = await this.size(digest);
    if (size === undefined) throw this.#absent(digest);
    if (size > MANIFEST_LIMIT)
      throw this.error(`blobs/${pathOf(digest)} has ${size} bytes, and a manifest has at most ${MANIFEST_LIMIT}`);
    const bytes = await readFile(this.#path(digest)).catch((error: unknown) => {
      throw this.#failure(error);
    });
    const found = digestOf(bytes, algorithmOf(digest));
    if (found !== digest) throw this.error(`blobs/${pathOf(digest)} has the digest ${found}`);
    return bytes;
  }

  /** The bytes of a file, not yet verified. */
  async open(descriptor: Descriptor, from = 0): Promise<BlobStream> {
    const { digest, size } = descriptor;
    const path = this.#path(digest);
    const found = await this.size(digest);
    if (found === undefined) throw this.#absent(digest);
    if (found !== size) throw this.error(`blobs/${pathOf(digest)} has ${found} bytes, and its manifest says ${size}`);
    const stream = createReadStream(path, { start: from });
    return { host: this.host, stream, skip: 0, whole: true, resume: (next) => this.open(descriptor, next) };
  }

  /** Writes a blob, verified while streaming. */
  async write(
    descriptor: Descriptor,
    open: () => Promise<BlobStream>,
    { signal, onBytes }: UploadOptions,
  ): Promise<void> {
    const { digest, size } = descriptor;
    await this.#replace(digest, async (unfinished) => {
      const retry = { retry: DEFAULT_RETRY, retryTools: DEFAULT_RETRY_TOOLS };
      const source = new BlobSource(descriptor, await open(), { ...retry, signal, keepBytes: 0, onBytes });
      try {
        await writeToFile(createWriteStream(unfinished), signal, source.body(size));
      } catch (error) {
        source.close();
        signal?.throwIfAborted();
        throw source.error ?? error;
      }
    });
  }

  /** Writes bytes that match the digest. */
  async writeBytes(digest: string, bytes: Buffer): Promise<void> {
    if (await this.has(digest)) return;
    await this.#replace(digest, (unfinished) => writeFile(unfinished, bytes));
  }

  /** Writes another file of the layout by rename. */
  async writeFile(name: string, text: string): Promise<void> {
    await this.#byRename(join(this.folder, name), (unfinished) => writeFile(unfinished, text));
  }

  /** Removes the files of an interrupted run. */
  async removeUnfinished(): Promise<void> {
    await rm(join(this.folder, UNFINISHED), { recursive: true, force: true });
  }

  error(message: string, kind: RegistryErrorKind = 'invalid'): RegistryError {
    return new RegistryError(message, { kind, host: this.host, retryable: false });
  }

  async #replace(digest: string, write: (unfinished: string) => Promise<void>): Promise<void> {
    const path = this.#path(digest);
    await this.#guarded(() => mkdir(join(this.folder, 'blobs', algorithmOf(digest)), { recursive: true }));
    await this.#byRename(path, write);
    this.#checked.set(digest, Promise.resolve(true));
  }

  async #byRename(path: string, write: (unfinished: string) => Promise<void>): Promise<void> {
    const folder = join(this.folder, UNFINISHED);
    const unfinished = join(folder, randomUUID());
    await this.#guarded(async () => {
      await mkdir(folder, { recursive: true });
      try {
        await write(unfinished);
        await rename(unfinished, path);
      } catch (error) {
        await rm(unfinished, { force: true });
        throw error;
      }
    });
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw codeOf(error) === undefined || error instanceof RegistryError ? error : this.#failure(error);
    }
  }

  async #check(path: string, digest: string): Promise<boolean> {
    if ((await this.size(digest)) === undefined) return false;
    const hash = createHash(algorithmOf(digest));
    try {
      await pipeline(createReadStream(path), hash);
    } catch (error) {
      throw this.#failure(error);
    }
    return `${algorithmOf(digest)}:${hash.digest('hex')}` === digest;
  }

  /** Only digests become paths: they contain no dots and no slashes. */
  #path(digest: string): string {
    if (!isDigest(digest)) throw this.error(`index.json or a manifest in it ${digestFault(digest)}`);
    return join(this.folder, 'blobs', pathOf(digest));
  }

  #absent(digest: string): RegistryError {
    return this.error(`blobs/${pathOf(digest)} is missing`, 'absent');
  }

  #failure(error: unknown): RegistryError {
    const code = codeOf(error) ?? '';
    const kind = DISK_FULL_CODES.has(code) ? 'quota' : REFUSED.has(code) ? 'forbidden' : 'unreachable';
    const message = DISK_FULL_CODES.has(code)
      ? `the disk is full, or a limit is reached (${code}): free some space and run the command again; it continues from here`
      : error instanceof Error
        ? error.message
        : String(error);
    return new RegistryError(message, { kind, host: this.host, retryable: false, advised: true, cause: error });
  }
}

const DISK_FULL_CODES = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS']);

/** Resolves when the file is written and closed. */
async function writeToFile(
  file: Writable,
  signal: AbortSignal | undefined,
  body: (file: Writable) => void,
): Promise<void> {
  if (signal !== undefined) addAbortSignal(signal, file);
  await new Promise<void>((resolve, reject) => {
    file.once('error', reject);
    file.once('close', () => (file.writableFinished ? resolve() : reject(new Error('the file was closed too early'))));
    body(file);
  });
}

function pathOf(digest: string): string {
  return digest.replace(':', '/');
}

function codeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
