import { open } from 'node:fs/promises';

/** Reads files. */
export interface ConfigFiles {
  /**
   * At most `limit` bytes of the file.
   * @throws Error with a Node `code` such as ENOENT
   */
  read(path: string, limit: number): Promise<Uint8Array>;
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
