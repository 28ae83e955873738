import { engineRoute } from '../../core/engines/access.js';
import { engineOf } from '../../core/engines/engines.js';
import type { RuleContext } from './context.js';

/** Checks that the served routes and their callers match the engine. */
export function checkAccess(context: RuleContext): void {
  checkRoutes(context);
  checkKyverno(context);
}

function checkRoutes(context: RuleContext): void {
  const { server, policies } = context.config;
  const routes = server?.routes;
  if (routes === undefined) return;
  if (routes.length === 0) context.error(['server', 'routes'], 'is empty', 'leave it out to serve all routes');
  if (context.config.source?.accessCheck === 'pullSecrets' && routes.includes('gatekeeper')) {
    context.error(
      ['server', 'routes'],
      'contains gatekeeper, but source.accessCheck is pullSecrets: Gatekeeper sends only image names, so the Pod is unknown',
      'leave gatekeeper out',
    );
  }
  const engine = policies?.engine;
  const own = policies == null ? undefined : engineRoute(policies);
  if (own === undefined || routes.length === 0 || routes.includes(own)) return;
  context.warn(
    ['server', 'routes'],
    `does not contain ${own}, but policies.engine is ${engine ?? ''}: its requests get a 404 response`,
    `add ${own}, or set policies.engine`,
  );
}

function checkKyverno(context: RuleContext): void {
  const { auth, policies } = context.config;
  const kyverno = auth?.kyverno;
  if (kyverno?.token === true && kyverno.serviceAccounts?.length === 0) {
    context.error(
      ['auth', 'kyverno', 'serviceAccounts'],
      'is empty, but token is true: no token is accepted',
      'name the ServiceAccount of the admission controller, such as kyverno/kyverno-admission-controller',
    );
  }
  if (kyverno?.tokenRequired === false && kyverno.token !== true) {
    context.warn(
      ['auth', 'kyverno', 'tokenRequired'],
      'is false, and no token is taken',
      'set auth.kyverno.token: true, or leave tokenRequired out',
    );
  }
  if (kyverno?.tokenRequired === false && context.isWritten(['auth', 'kyverno', 'secret'])) {
    context.warn(
      ['auth', 'kyverno', 'tokenRequired'],
      'is false, and auth.kyverno.secret is set: callers without a proof are refused',
      'leave one of them out',
    );
  }
  const engine = engineOf(policies);
  if (engine?.transport === undefined || kyverno?.token === undefined) return;
  const { credentials } = engine.transport;
  const path = ['auth', 'kyverno'];
  const hasSecret = context.isWritten([...path, 'secret']);
  if (credentials.includes('secret') && kyverno.token && kyverno.tokenRequired !== false && !hasSecret) {
    context.warn(
      [...path, 'token'],
      `is true, but policies of ${engine.name} send no token: their requests are refused`,
      'set auth.kyverno.secret too',
    );
  }
  if (credentials.includes('token') && hasSecret && !kyverno.token) {
    context.warn(
      [...path, 'secret'],
      `is set, but policies of ${engine.name} send no secret: their requests are refused`,
      'set auth.kyverno.token: true too',
    );
  }
}
