import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { parseBoundedJson } from '../core/json-bounds.js';
import { MAX_COMPLETE_IMAGES } from '../registry/complete-images.js';
import type { CompleteImage } from '../registry/complete-images.js';
import { codeOf } from '../util/unreadable.js';
import type { CommandContext } from './context.js';

/** Far more than {@link MAX_COMPLETE_IMAGES} images need. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const FORMAT = 1;

/**
 * The memory of `mirror --file`: images that earlier runs found complete. It is `image-swapper/complete-images.json` in
 * the user's cache folder (XDG Base Directory Specification). It only saves requests: without it, each run checks every
 * image completely.
 */
export class CompleteImagesFile {
  private constructor(
    private readonly path: string | undefined,
    /** As read from the file. */
    readonly images: readonly CompleteImage[],
    private readonly warn: (text: string) => void,
  ) {}

  /** Never rejects: warns about an unusable file, and continues without it. */
  static async open({ env, stderr }: CommandContext): Promise<CompleteImagesFile> {
    const warn = (text: string): void => void stderr.write(`warn: ${text}\n`);
    const path = pathIn(env);
    if (path === undefined)
      warn('HOME and XDG_CACHE_HOME are not set: the next run checks every image completely again');
    return new CompleteImagesFile(path, path === undefined ? [] : await read(path, warn), warn);
  }

  /**
   * Writes the images of this run, merged with those that other runs have written in the meantime; never rejects.
   *
   * @param found includes those of `images` that are still valid
   */
  async save(found: readonly CompleteImage[]): Promise<void> {
    const { path, warn } = this;
    if (path === undefined) return;
    const merged = new Map((await read(path, () => undefined)).map((one) => [one.image, one]));
    for (const { image, at } of this.images) if (merged.get(image)?.at === at) merged.delete(image);
    for (const one of found) if ((merged.get(one.image)?.at ?? 0) <= one.at) merged.set(one.image, one);
    const images = [...merged.values()].sort((one, other) => other.at - one.at).slice(0, MAX_COMPLETE_IMAGES);
    const unfinished = `${path}.${process.pid}.unfinished`;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(unfinished, `${JSON.stringify({ format: FORMAT, images })}\n`, { mode: 0o600 });
      await rename(unfinished, path);
    } catch (error) {
      warn(`${path} cannot be written (${codeOf(error)}): the next run checks every image completely again`);
      await rm(unfinished, { force: true }).catch(() => undefined);
    }
  }
}

function pathIn({ HOME: home = '', XDG_CACHE_HOME: cache = '' }: CommandContext['env']): string | undefined {
  const file = join('image-swapper', 'complete-images.json');
  // The specification requires that relative paths are ignored.
  if (isAbsolute(cache)) return join(cache, file);
  return isAbsolute(home) ? join(home, '.cache', file) : undefined;
}

async function read(path: string, warn: (text: string) => void): Promise<readonly CompleteImage[]> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
    const { format, images } = Object(parseBoundedJson(await readFile(path, 'utf8'))) as Record<string, unknown>;
    if (format !== FORMAT || !Array.isArray(images) || !images.every(isImage)) throw new Error('not in this format');
    return images;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return [];
    const reason = error instanceof Error && !('code' in error) ? error.message : code;
    warn(`${path} cannot be used (${reason}): this run checks every image completely`);
    return [];
  }
}

function isImage(value: unknown): value is CompleteImage {
  const { image, at, referrers = '', selection = '' } = Object(value) as Record<string, unknown>;
  return (
    typeof image === 'string' &&
    /^[^@\s]+@[a-z0-9]+:[0-9a-f]+$/.test(image) &&
    Number.isSafeInteger(at) &&
    typeof referrers === 'string' &&
    typeof selection === 'string'
  );
}
