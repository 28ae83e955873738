import { brotliDecompressSync } from 'node:zlib';

/** The text of a program that build.mjs packed: base64 of brotli. */
export function unpack(packed: string): string {
  return brotliDecompressSync(Buffer.from(packed, 'base64')).toString('utf8');
}
