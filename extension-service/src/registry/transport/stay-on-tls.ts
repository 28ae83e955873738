/**
 * The same address with https, if a registry on https refers to itself with http: behind a proxy that ends TLS it may
 * not know better. Only for the registry's own name without a port; undefined for any other address.
 */
export function onTls(url: URL, from: URL): URL | undefined {
  if (url.protocol !== 'http:' || from.protocol !== 'https:') return undefined;
  if (url.hostname !== from.hostname || url.port !== '') return undefined;
  const secure = new URL(url);
  secure.protocol = 'https:';
  secure.port = from.port;
  return secure;
}
