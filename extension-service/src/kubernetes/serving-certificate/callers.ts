import type { CaBundleUse } from '../../core/engines/engine.js';
import { parseUrl } from '../../util/parse-url.js';
import { withoutBrackets } from '../../util/without-brackets.js';

/** The change that makes an object that calls the service trust these CAs. */
export interface CallerChanges {
  /** A JSON patch; empty if nothing changes. */
  readonly patch: readonly object[];
  /** Hosts that it calls but that the certificate does not contain: their CA is another one, and is not changed. */
  readonly elsewhere: readonly string[];
}

/** @param names in the serving certificate */
export function callerChanges(calls: readonly CaBundleUse[], names: readonly string[], bundle: string): CallerChanges {
  const hosts = calls.map(({ address }) => hostOf(address));
  const value = Buffer.from(bundle).toString('base64');
  const known = new Set(names.map((name) => name.toLowerCase()));
  return {
    patch: calls
      .filter(({ address, caBundle }) => known.has(hostOf(address)) && caBundle !== value)
      .map(({ path }) => ({ op: 'add', path, value })),
    elsewhere: [...new Set(hosts.filter((host) => !known.has(host)))],
  };
}

/** From a URL without the brackets of an IPv6 address, as in `tls.dnsNames`. */
function hostOf(address: string): string {
  const url = parseUrl(address);
  return url === undefined ? address : withoutBrackets(url.hostname);
}
