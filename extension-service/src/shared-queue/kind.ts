import type { BackendFactory } from 'bullmq';

/** Where a queue server is, with its secrets: read again for each connection, never logged. */
export interface ServerSettings {
  readonly url: URL;
  /** Takes the place of the one in the URL. */
  readonly password?: string;
  /** PEM. */
  readonly ca?: string;
  readonly prefix: string;
  readonly sentinels: readonly string[];
  readonly sentinelPassword?: string;
}

/** How BullMQ reaches a server that can be used. */
export interface OpenedServer {
  /** For the `connection` of BullMQ's classes. */
  readonly connection: object;
  /** Of the names of keys; absent where the connection separates installs. */
  readonly prefix?: string;
  readonly backend: BackendFactory;
}

/** A kind of queue server. */
export interface QueueServerKind {
  readonly type: string;
  /**
   * Connects once, to see whether the server can be used.
   *
   * @throws QueueServerError that says why not, without a secret
   */
  open(settings: ServerSettings): Promise<OpenedServer>;
}

/** Why a queue server cannot be used. Names the server, never a password. */
export class QueueServerError extends Error {
  override readonly name = 'QueueServerError';
}

/** `HOST:PORT` for messages: a URL may have a password in it. */
export function serverName({ url, sentinels }: ServerSettings, defaultPort: number): string {
  if (sentinels.length > 0) return `${url.hostname} (Sentinels ${sentinels.join(', ')})`;
  return `${url.hostname}:${url.port === '' ? defaultPort : url.port}`;
}

/** The password that counts, decoded; undefined without one. */
export function passwordOf({ url, password }: ServerSettings): string | undefined {
  return password ?? (url.password === '' ? undefined : decodeURIComponent(url.password));
}

/** Milliseconds until a server that does not answer counts as unreachable. */
export const CONNECT_TIMEOUT_MS = 5_000;
