/** A route of the service that engines call. */
export interface AdmissionRoute {
  readonly path: string;
  /**
   * Where the caller names the configuration that its policy was rendered for: in the header of that name, or as the
   * last segment of the path, after `prefix`. Only Kyverno can send an additional header.
   */
  readonly configHash: { readonly in: 'header' } | { readonly in: 'path'; readonly prefix: string };
  /** Whether its callers can have a client certificate (`tls.clients`). */
  readonly clientCertificates: boolean;
  /** Whether the first segment after the path can be the callers' secret (`auth.webhook.path`). */
  readonly secretPath: boolean;
}

/** The routes by their names, which logs, metrics and `tls.clients` use. Two engines may share a route. */
export const ROUTES = {
  kyverno: { path: '/v1/kyverno', configHash: { in: 'header' }, clientCertificates: false, secretPath: false },
  gatekeeper: {
    path: '/v1/gatekeeper',
    configHash: { in: 'path', prefix: 'filters-' },
    clientCertificates: true,
    secretPath: false,
  },
  webhook: { path: '/webhook', configHash: { in: 'path', prefix: '' }, clientCertificates: true, secretPath: true },
} as const satisfies Readonly<Record<string, AdmissionRoute>>;

export type RouteName = keyof typeof ROUTES;

export const ROUTE_NAMES = Object.keys(ROUTES) as readonly RouteName[];

/** Routes whose callers can present a client certificate. */
export type ClientRoute = {
  [Name in RouteName]: (typeof ROUTES)[Name]['clientCertificates'] extends true ? Name : never;
}[RouteName];

export const CLIENT_ROUTES = ROUTE_NAMES.filter((name): name is ClientRoute => ROUTES[name].clientCertificates);

/** The header in which a caller sends a secret of `auth`. */
export const SECRET_HEADER = 'Image-Swapper-Secret';
