import { isIP } from 'node:net';
import { isDecodable, parseUrl } from '../../util/parse-url.js';
import { cidrList, isAddressOrCidr, listContains } from './addresses.js';
import { withoutBrackets } from '../../util/without-brackets.js';

/** The proxy for a URL, or undefined for a direct connection. */
export type ProxyChoice = (url: URL) => URL | undefined;

/**
 * Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, upper or lower case, like Go's httpproxy, because clusters are configured
 * for Go programs. NO_PROXY entries are `*`, an address, a CIDR block, `host` (and its subdomains) or `.suffix` (only
 * subdomains). Names and addresses may have a port. Loopback never goes through a proxy. CIDR blocks match only hosts
 * that are written as addresses; names are not resolved. Throws an Error for a proxy that is not a URL.
 */
export function proxyFromEnvironment(env: Readonly<Record<string, string | undefined>>): ProxyChoice {
  const read = (name: string): string => (env[name] || env[name.toLowerCase()] || '').trim();
  const http = parseProxy('HTTP_PROXY', read('HTTP_PROXY'));
  const https = parseProxy('HTTPS_PROXY', read('HTTPS_PROXY'));
  if (http === undefined && https === undefined) return () => undefined;
  const bypass = parseNoProxy(read('NO_PROXY'));
  return (url) => {
    const proxy = url.protocol === 'https:' ? https : http;
    return proxy === undefined || bypass(hostname(url), effectivePort(url)) ? undefined : proxy;
  };
}

function parseProxy(name: string, value: string): URL | undefined {
  if (value === '') return undefined;
  const text = value.includes('://') ? value : `http://${value}`;
  // The value may contain a password, so the message does not repeat it.
  const url = parseUrl(text);
  if (url === undefined) throw new Error(`${name} is not a URL such as http://proxy.example.com:3128`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`${name} has scheme ${url.protocol.slice(0, -1)}: http and https proxies are supported`);
  }
  if (!isDecodable(url.username, url.password)) {
    throw new Error(`${name} has a % in its user or password that is not percent-encoded: write %25`);
  }
  return url;
}

function parseNoProxy(value: string): (host: string, port: number) => boolean {
  const blocks: string[] = [];
  const names: { name: string; under: boolean; exact: boolean; port: number | undefined }[] = [];
  let everything = false;
  for (const raw of value.split(/[\s,]+/)) {
    const entry = raw.toLowerCase();
    if (entry === '') continue;
    if (entry === '*') everything = true;
    else if (isAddressOrCidr(entry)) blocks.push(entry);
    else {
      const match = /^(.*?)(?::(\d+))?$/.exec(entry);
      const name = withoutBrackets(match?.[1] ?? entry).replace(/^\*\./, '.');
      const port = match?.[2] === undefined ? undefined : Number(match[2]);
      names.push({ name: name.replace(/^\./, ''), under: isIP(name) === 0, exact: !name.startsWith('.'), port });
    }
  }
  const list = cidrList(blocks);
  return (name, port) => {
    const host = name.replace(/\.+$/, '');
    if (everything || host === 'localhost' || host.endsWith('.localhost')) return true;
    if (isIP(host) !== 0 && (listContains(LOOPBACK, host) || listContains(list, host))) return true;
    return names.some(
      (entry) =>
        (entry.port === undefined || entry.port === port) &&
        ((entry.exact && host === entry.name) || (entry.under && host.endsWith(`.${entry.name}`))),
    );
  };
}

const LOOPBACK = cidrList(['127.0.0.0/8', '::1']);

/** Without the brackets of IPv6. */
export function hostname(url: URL): string {
  return withoutBrackets(url.hostname).toLowerCase();
}

export function effectivePort(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
}
