/**
 * The URL, or undefined for invalid text. URL.canParse is not used because in Node 20.20, after some thousand calls, it
 * accepts texts that `new URL` rejects.
 */
export function parseUrl(text: string, base?: URL): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

/** How a user fixes a URL with a part that is not decodable. */
export const ESCAPE_ADVICE = 'expected %25 for each % in the user, password or path';

/** Whether parts of a URL can be decoded: `new URL` accepts any `%`, and decoding only one before two hex digits. */
export function isDecodable(...parts: readonly string[]): boolean {
  try {
    parts.forEach(decodeURIComponent);
    return true;
  } catch {
    return false;
  }
}
