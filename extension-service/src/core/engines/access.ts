import type { Config, KyvernoAuthConfig, ServedRoute } from '../config/model.js';
import type { EngineCredentials } from './engine.js';
import { engineOf } from './engines.js';
import type { EngineChoice } from './engines.js';
import { ROUTE_NAMES, ROUTES } from './routes.js';
import type { RouteName } from './routes.js';

/** Valid names in `server.routes`. */
export const SERVED_ROUTES = ['kyverno', 'gatekeeper', 'webhook', 'explain'] as const satisfies readonly ServedRoute[];

/** For messages. */
export function pathOfRoute(route: ServedRoute): string {
  return route === 'explain' ? '/v1/explain' : ROUTES[route].path;
}

/** The route that an engine's policies call. */
export function engineRoute(policies: EngineChoice): RouteName | undefined {
  return engineOf(policies)?.transport?.route;
}

type Access = Pick<Config, 'auth' | 'server' | 'tls' | 'policies'>;

/** Whether callers of the route must authenticate. */
export function hasAuthentication(config: Pick<Access, 'auth' | 'tls'>, route: ServedRoute): boolean {
  return AUTHENTICATED[route](config);
}

const AUTHENTICATED: Readonly<Record<ServedRoute, (config: Pick<Access, 'auth' | 'tls'>) => boolean>> = {
  kyverno: ({ auth: { kyverno } }) => kyverno.secret !== undefined || (kyverno.token && kyverno.tokenRequired),
  webhook: ({ auth, tls }) => auth.webhook.path !== undefined || tls.clients.webhook !== undefined,
  gatekeeper: ({ tls }) => tls.clients.gatekeeper !== undefined,
  explain: ({ auth }) => auth.explain.secret !== undefined,
};

/** The routes that are served: `server.routes`, or the default, which depends on authentication. */
export function servedRoutes(config: Access): ReadonlySet<ServedRoute> {
  const { routes } = config.server;
  if (routes !== undefined) return new Set(routes);
  const closed = ROUTE_NAMES.some((route) => hasAuthentication(config, route));
  const own = engineRoute(config.policies);
  const served = ROUTE_NAMES.filter((route) => !closed || route === own || hasAuthentication(config, route));
  return new Set([...served, 'explain']);
}

/** The route of the configured engine, if it is served without authentication. */
export function openEngineRoute(config: Access): RouteName | undefined {
  const own = engineRoute(config.policies);
  const isOpen = own !== undefined && servedRoutes(config).has(own) && !hasAuthentication(config, own);
  return isOpen ? own : undefined;
}

/** Whether authentication on `/v1/kyverno` is optional. */
export function isAuthenticationOptional({ secret, token, tokenRequired }: KyvernoAuthConfig): boolean {
  return token && !tokenRequired && secret === undefined;
}

const OPTIONAL_AUTHENTICATION: Readonly<Partial<Record<RouteName, (config: Access) => boolean>>> = {
  kyverno: ({ auth }) => isAuthenticationOptional(auth.kyverno),
};

/** A warning about an engine's route without authentication; undefined if it has authentication. */
export function openRouteWarning(config: Access): string | undefined {
  const route = openEngineRoute(config);
  if (route === undefined) return undefined;
  if (OPTIONAL_AUTHENTICATION[route]?.(config) === true) {
    return (
      `${pathOfRoute(route)} also answers callers without a token of Kyverno, and believes nothing that they say about ` +
      'pull secrets. Set auth.kyverno.tokenRequired: true to refuse them, once Kyverno sends one (1.16.4, 1.17.2, 1.18 and later)'
    );
  }
  return (
    `${pathOfRoute(route)} has no authentication: any client that reaches it can make the service copy images. Pull secrets ` +
    `named in a request are used only for Pods that exist in the API server. Set ${REMEDIES[route]}`
  );
}

const REMEDIES: Readonly<Record<RouteName, string>> = {
  kyverno: 'auth.kyverno',
  webhook: 'auth.webhook.path or tls.clients.webhook',
  gatekeeper: 'tls.clients.gatekeeper',
};

const CALLER_SECRET_NAME = 'image-swapper-caller';

/** The credentials that policies for the configuration send. */
export function callerCredentials({ auth }: Pick<Config, 'auth'>): EngineCredentials {
  const { secret, secretName, secretNamespace } = auth.kyverno;
  const { path } = auth.webhook;
  const sendsSecret = secret !== undefined || secretName !== undefined;
  return {
    ...(sendsSecret && { secret: { name: secretName ?? CALLER_SECRET_NAME, namespace: secretNamespace } }),
    ...(path !== undefined && { path }),
  };
}
