import { normalizeRegistry } from '../image/reference.js';
import { quoteInput } from '../image/quote.js';

export const REGISTRY_ALLOWED = 'expected host or host:port, such as harbor.example.com:5000';

export interface HostFault {
  readonly message: string;
  /** The correct form. */
  readonly allowed: string;
}

/** The problem with a registry's `host[:port]` as users write it; undefined if there is none. */
export function hostFault(value: string): HostFault | undefined {
  const message = quoteInput(value);
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(value);
  if (scheme !== null) {
    const hint = scheme[0].toLowerCase() === 'http://' ? '; for plain HTTP set insecure: true' : '';
    return { message: `${message} has a scheme`, allowed: `${REGISTRY_ALLOWED}${hint}` };
  }
  if (value.includes('/')) {
    return { message: `${message} has a path`, allowed: `${REGISTRY_ALLOWED}; put the path in prefix` };
  }
  const port = /:([0-9]*)$/.exec(value)?.[1];
  if (port !== undefined && !/^\[[^\]]*$/.test(value) && !(Number(port) >= 1 && Number(port) <= 65_535)) {
    return { message: `${message} has an invalid port`, allowed: 'expected a port from 1 to 65535' };
  }
  if (normalizeRegistry(value) !== undefined) return undefined;
  // Without dot and port, a name in an image reference is parsed as a path of Docker Hub.
  return normalizeRegistry(`${value}:443`) === undefined
    ? { message: `${message} is not a valid host`, allowed: REGISTRY_ALLOWED }
    : { message: `${message} has neither a dot nor a port`, allowed: `write ${value}:443` };
}
