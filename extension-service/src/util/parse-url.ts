/**
 * The URL, or undefined for text that is not one. URL.canParse is not used because that of Node 20.20 says yes to texts
 * that `new URL` refuses, once it has been called some thousand times.
 */
export function parseUrl(text: string, base?: URL): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
