/** How a case reaches the service: named by a Pod, or by what a registry answers. */
export const WAYS = ['reference', 'manifest-redirect', 'blob-redirect', 'realm', 'location'] as const;
export type Way = (typeof WAYS)[number];

/** None, or the address that the proxy listens on. */
export const PROXIES = ['', '127.0.0.1', '10.0.0.9'] as const;

/** The result of one case, as its tripwires and the proxy saw it. */
export interface Visit {
  readonly way: Way;
  readonly proxy: string;
  readonly host: string;
  /** Addresses that were connected to directly. */
  readonly touched: readonly string[];
  /** Hosts that the proxy was asked for, except the hostile registry itself. */
  readonly connects: readonly string[];
  /** Kind of the error; cleaning up an upload reports none. */
  readonly kind: string;
}

export interface Report {
  readonly visits: readonly Visit[];
  /** Addresses that were touched when a name changed its address between two connections. */
  readonly rebound: readonly string[];
  readonly reboundKinds: readonly string[];
  /** TLS sessions that the registry saw again, of its connections. */
  readonly resumedSessions: number;
  readonly connections: number;
}
