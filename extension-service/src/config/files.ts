import { open } from 'node:fs/promises';

/** Where files come from. */
export interface ConfigFiles {
  /**
   * At most `limit` bytes of the file.
   * @throws Error with a Node `code` such as ENOENT
   */
  read(path: string, limit: number): Promise<Uint8Array>;
}

/** Why a file cannot be read, in words. */
export function unreadable(error: unknown): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'the file does not exist',
    EISDIR: 'this is a directory',
    EACCES: 'the user that runs the program has no permission to read this file',
  };
  const code = codeOf(error);
  return reasons[code] ?? `cannot read the file (${code})`;
}

/** Node's code of a failure, such as ENOENT. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

export const localFiles: ConfigFiles = {
  async read(path, limit) {
    const handle = await open(path, 'r');
    try {
      const buffer = Buffer.alloc(limit);
      let length = 0;
      while (length < limit) {
        const { bytesRead } = await handle.read(buffer, length, limit - length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return buffer.subarray(0, length);
    } finally {
      await handle.close();
    }
  },
};
