import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface FileWatch {
  stop(): void;
}

/** A missing optional file has no content. */
export type WatchedFile = string | { readonly optional: string };

/**
 * Calls back when the content of any of the files changed. Polls the content instead of watching names: a mounted
 * ConfigMap or Secret changes by replacing the `..data` link, which file watchers miss.
 *
 * @param files called for each check, because a change may add others
 * @param onChange gets the new contents in the order of `files`; its exceptions go to `onError`, and the content counts
 * as processed
 */
export function watchFiles(
  files: () => readonly WatchedFile[],
  known: readonly string[],
  interval: number,
  onChange: (contents: readonly string[]) => void | Promise<void>,
  onError: (error: unknown) => void,
): FileWatch {
  let seen = digest(known);
  let missing = false;
  let stopped = false;
  let timer = setTimeout(() => void poll(), interval);
  timer.unref();

  async function poll(): Promise<void> {
    try {
      const contents = await readFiles(files());
      missing = false;
      const now = digest(contents);
      if (now !== seen && !stopped) {
        seen = now;
        await onChange(contents);
      }
    } catch (error) {
      // While a link is replaced a file may be missing: only the first miss in a row is reported.
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!gone || !missing) onError(error);
      missing = gone;
    }
    if (stopped) return;
    timer = setTimeout(() => void poll(), interval);
    timer.unref();
  }

  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

export async function readFiles(files: readonly WatchedFile[]): Promise<string[]> {
  return Promise.all(
    files.map(async (file) => {
      if (typeof file === 'string') return readFile(file, 'utf8');
      return readFile(file.optional, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      });
    }),
  );
}

function digest(contents: readonly string[]): string {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(`${content.length}:`).update(content);
  return hash.digest('hex');
}
