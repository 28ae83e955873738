/** How a case reaches the service: in a Pod, or in a registry's response. */
export const ROUTES_TO_ADDRESS = ['reference', 'manifest-redirect', 'blob-redirect', 'realm', 'location'] as const;
export type Way = (typeof ROUTES_TO_ADDRESS)[number];

/** The address that the proxy listens on, or none. */
export const PROXIES = ['', '127.0.0.1', '10.0.0.9'] as const;

/** The result of one case, as the listeners and the proxy recorded it. */
export interface Visit {
  readonly way: Way;
  readonly proxy: string;
  readonly host: string;
  /** Addresses with direct connections. */
  readonly tripwireHits: readonly string[];
  /** Hosts in requests to the proxy, except the hostile registry. */
  readonly connects: readonly string[];
  /** Kind of the error. The cleanup of an upload does not report one. */
  readonly kind: string;
}

export interface Report {
  readonly visits: readonly Visit[];
  /** Addresses with connections after a name changed its address between two connections. */
  readonly rebound: readonly string[];
  readonly reboundKinds: readonly string[];
  /** Number of the registry's connections that resumed a TLS session. */
  readonly resumedSessions: number;
  readonly connections: number;
}
