import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface FileWatch {
  stop(): void;
}

/**
 * Calls back when the content of any of the files changed. Polls content rather than watching names: a mounted
 * ConfigMap or Secret changes by a swap of the `..data` link, which file watchers miss.
 *
 * @param onChange gets the new contents in the order of `files`; what it throws goes to `onError`, and the content
 * counts as seen
 */
export function watchFiles(
  files: readonly string[],
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
      const contents = await Promise.all(files.map((file) => readFile(file, 'utf8')));
      missing = false;
      const now = digest(contents);
      if (now !== seen && !stopped) {
        seen = now;
        await onChange(contents);
      }
    } catch (error) {
      // Between the unlink and the link of a swap a file may be gone: only the first miss of a row is told.
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

function digest(contents: readonly string[]): string {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(`${content.length}:`).update(content);
  return hash.digest('hex');
}
