import { InvalidPolicyOptionError } from './problem.js';

/** The parsed base address of the service. */
export interface ServiceUrl {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port?: number;
  /** Without a trailing slash; '' for none. */
  readonly path: string;
  /** Set when the host is the DNS name of a Kubernetes Service. */
  readonly service?: { readonly name: string; readonly namespace: string };
}

const URL_PATTERN =
  /^(https?):\/\/([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?((?:\/[A-Za-z0-9._~-]+)*)\/?$/;
const SERVICE_NAME = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.svc(?:\.[a-z0-9.-]+)?$/;

/**
 * Parses a base address. Only plain characters are accepted, because the address becomes part of policies where `{{`,
 * quotes or a query would change their meaning; credentials in it would be visible to everyone who can read policies.
 */
export function parseServiceUrl(text: string, option: string): ServiceUrl {
  const [, scheme, host, portText, path] = URL_PATTERN.exec(text) ?? [];
  const port = portText === undefined ? undefined : Number(portText);
  if (host === undefined || (port !== undefined && (port < 1 || port > 65535))) {
    throw new InvalidPolicyOptionError(
      option,
      `${JSON.stringify(text)} must be http(s)://HOST[:PORT][/PATH], without user, query or fragment, ` +
        'such as "https://image-swapper.image-swapper.svc:8443"',
    );
  }
  const [, name, namespace] = SERVICE_NAME.exec(host) ?? [];
  return {
    scheme: scheme === 'http' ? 'http' : 'https',
    host,
    path: path ?? '',
    ...(port === undefined ? {} : { port }),
    ...(name === undefined || namespace === undefined ? {} : { service: { name, namespace } }),
  };
}

/** The address of a route, such as `/v1/kyverno`. */
export function routeUrl(url: ServiceUrl, route: string): string {
  return `${url.scheme}://${url.host}${url.port === undefined ? '' : `:${url.port}`}${url.path}${route}`;
}

export function requireHttps(url: ServiceUrl, option: string, engine: string): void {
  if (url.scheme !== 'https') {
    throw new InvalidPolicyOptionError(option, `${engine} calls https:// addresses only`);
  }
}
