import { imagePlace } from '../core/decide/image-places.js';
import { ignoredPullNames } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import type { ContainerDecision } from '../core/decide/decide.js';
import { ROUTE_NAMES, ROUTES } from '../core/engines/routes.js';
import type { RouteName } from '../core/engines/routes.js';
import { oneLine } from '../core/image/quote.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { LineBudget } from '../util/line-budget.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import type { Admission, AdmissionRequest, AdmissionResult, ContainerOutcome } from './admission.js';
import type { Answer } from './answer.js';
import type { Caller } from './callers.js';
import { answerGatekeeper } from './gatekeeper.js';
import type { GatekeeperRules } from './gatekeeper-rules.js';
import { answerKyverno } from './kyverno.js';
import type { UnreadTable } from './unread-table.js';
import type { PolicyWatch } from './policy-watch.js';
import { answerWebhook } from './webhook.js';

/** The known facts about the caller. */
export interface PolicyCaller extends Caller {
  /** The configuration for which the calling policy was rendered, according to the policy. */
  readonly configHash?: string;
}

/** Answers the body of one route. Rejects with BadRequestError for invalid input. */
export type Route = (body: string, by: PolicyCaller) => Promise<Answer>;

export interface FoundRoute {
  readonly name: RouteName;
  readonly route: Route;
  /** The first part of the path after the route's own, which may be the caller's secret. */
  readonly segment?: string;
}

export interface RouteDependencies {
  readonly admission: Pick<Admission, 'review' | 'reviewImages'>;
  /** Rules that can be decided from images alone, for the profile of Gatekeeper's request. */
  readonly gatekeeperRules: GatekeeperRules;
  readonly policies: Pick<PolicyWatch, 'observe' | 'cannotDecide'>;
  /** Sees every Pod about which Kyverno calls. */
  readonly unreadTable?: Pick<UnreadTable, 'observe'>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The routes that policy engines and the API server call, by path. */
export function admissionRoutes(dependencies: RouteDependencies): (path: string) => FoundRoute | undefined {
  const ignored = new LogRateLimiter(60_000);
  const lines = new LineBudget(LINES_OF_NAMESPACE, LINES_OF_ALL);
  const review =
    (name: FoundRoute['name'], { isTrusted }: Caller) =>
    async (request: AdmissionRequest): Promise<AdmissionResult> => {
      const started = performance.now();
      const result = await dependencies.admission.review({ ...request, trusted: isTrusted });
      warnOfNames(dependencies.log, ignored, name, request);
      report({ ...dependencies, lines }, name, request, result, performance.now() - started);
      return result;
    };
  const gatekeeper =
    (profile?: string): Route =>
    (body) =>
      answerGatekeeper(body, async (images) => {
        const [, hash] = /^filters-(.*)$/.exec(profile ?? '') ?? [];
        dependencies.policies.observe('gatekeeper', hash);
        const rules = dependencies.gatekeeperRules(profile);
        if (rules === undefined) {
          dependencies.policies.cannotDecide(profile);
          dependencies.metrics.containers.inc({ target: '', outcome: 'pod-not-seen' }, images.length);
          return images;
        }
        const outcomes = await dependencies.admission.reviewImages(images, NO_POD, rules);
        count(dependencies.metrics, outcomes);
        return outcomes.map(({ outcome, image }, index) => (outcome === 'swapped' ? image : (images[index] ?? image)));
      });
  const webhook =
    (hash?: string): Route =>
    (body, by) => {
      dependencies.policies.observe('webhook', hash);
      return answerWebhook(body, review('webhook', by));
    };
  const kyverno = (): Route => (body, by) => {
    dependencies.policies.observe('kyverno', by.configHash);
    const reviewed = review('kyverno', by);
    return answerKyverno(body, async (request) => {
      const result = await reviewed(request);
      dependencies.unreadTable?.observe(request, result);
      return result;
    });
  };
  const handlers: Readonly<Record<RouteName, (configuration?: string) => Route>> = { kyverno, gatekeeper, webhook };
  return (path) => {
    for (const name of ROUTE_NAMES) {
      const { path: start, configHash, secretPath } = ROUTES[name];
      if (path === start) return { name, route: handlers[name]() };
      if (configHash.in !== 'path' || !path.startsWith(`${start}/`)) continue;
      const [segment = '', ...rest] = path.slice(start.length + 1).split('/');
      // 32 digits are a secret, which must not be mistaken for a hash and logged.
      const hash = secretPath && SECRET_PATH.test(segment) ? rest[0] : [segment, ...rest].join('/');
      return { name, route: handlers[name](hash), segment };
    }
    return undefined;
  };
}

/** `auth.webhook.path` */
const SECRET_PATH = /^[0-9a-f]{32}$/;

/** Invalid names of pull secrets and ServiceAccounts: nothing is read for them. */
function warnOfNames(log: Logger, lines: LogRateLimiter, route: string, { pod, namespace }: AdmissionRequest): void {
  const names = ignoredPullNames(pod);
  if (names.length === 0 || !lines.shouldLog(namespace)) return;
  log.warn(
    { route, namespace: shortened(namespace), names: names.slice(0, 5).map((name) => oneLine(name.slice(0, 64))) },
    'ignored: imagePullSecrets or serviceAccountName that are not Kubernetes names',
  );
}

const NO_POD: JsonObject = { metadata: {}, spec: {}, status: {} };

function report(
  { log, metrics, lines }: RouteDependencies & { readonly lines: LineBudget },
  route: string,
  request: AdmissionRequest,
  { containers, denied }: AdmissionResult,
  milliseconds: number,
): void {
  count(metrics, containers);
  let level: 'debug' | 'info' | 'warn' = 'debug';
  if (denied !== undefined) level = 'info';
  for (const { decision, outcome, copy, noAccess } of containers) {
    const isLogged = outcome !== 'kept' || copy === 'failed' || copy === 'late' || noAccess !== undefined;
    if (isLogged && level === 'debug') level = 'info';
    if (decision.warnings.length > 0 || (decision.action === 'keep' && AUTHOR_MISTAKES.includes(decision.reason)))
      level = 'warn';
  }
  if (!log.isLevelEnabled(level)) return;
  const leftOut = lines.take(request.namespace.slice(0, 253), Math.ceil(containers.length / CONTAINERS_OF_LINE));
  if (leftOut === undefined) return;
  const { metadata } = request.pod;
  const pod = typeof metadata === 'object' && metadata !== null ? (metadata as JsonObject) : {};
  log[level](
    {
      route,
      uid: shortened(request.uid),
      namespace: shortened(request.namespace),
      pod: shortened(pod['name'] ?? pod['generateName']),
      ...(leftOut > 0 && { leftOut }),
      milliseconds: Math.round(milliseconds * 10) / 10,
      ...(request.dryRun && { dryRun: true }),
      ...(denied !== undefined && {
        denied: shortened(denied.container),
        reason: denied.reason,
        ...(denied.status === 403 && { detail: oneLine(denied.message.slice(0, 1_024)) }),
      }),
      containers: containers.slice(0, LOGGED_CONTAINERS).map(summary),
      ...(containers.length > LOGGED_CONTAINERS && { more: containers.length - LOGGED_CONTAINERS }),
    },
    'decided',
  );
}

/**
 * Budgets of `decided` lines: a namespace may create Pods without limit, and a request without authentication names
 * any.
 */
const LINES_OF_NAMESPACE = { burst: 300, perSecond: 20 };
const LINES_OF_ALL = { burst: 2_000, perSecond: 100 };
/** Containers in a line of normal length; a longer line counts as several. */
const CONTAINERS_OF_LINE = 5;
/** Maximum containers per Pod's line; Kubernetes names have at most 253 characters. */
const LOGGED_CONTAINERS = 50;
/** Reasons that are probably a mistake of the Pod's author. */
const AUTHOR_MISTAKES: readonly string[] = ['invalid-image', 'too-large'];

function shortened(name: unknown): string {
  return typeof name === 'string' ? oneLine(name.slice(0, 253)) : '';
}

function summary({ decision, outcome, image, copy, existence, noAccess }: ContainerOutcome): Record<string, unknown> {
  const { container, warnings } = decision;
  return {
    name: shortened(container.name),
    ...(imagePlace(container.list).kind !== 'container' && { kind: imagePlace(container.list).kind }),
    image: oneLine(container.image.slice(0, 512)),
    outcome,
    reason: reason(decision),
    ...(outcome !== 'kept' && { swappedTo: image }),
    ...(existence !== undefined && { inTarget: existence.state === 'unknown' ? existence.reason : existence.state }),
    ...(copy !== undefined && { copy }),
    ...(noAccess !== undefined && { access: noAccess.state, detail: oneLine(noAccess.message) }),
    ...(decision.action === 'keep' && AUTHOR_MISTAKES.includes(decision.reason) && { detail: decision.detail }),
    ...(warnings.length > 0 && { warnings }),
  };
}

function reason(decision: ContainerDecision): string {
  return decision.action === 'keep' ? decision.reason : `target ${decision.target.config.name}`;
}

function count(metrics: Metrics, containers: readonly ContainerOutcome[]): void {
  for (const { decision, outcome, noAccess } of containers) {
    const target = decision.action === 'mirror' ? decision.target.config.name : '';
    const kept = noAccess === undefined ? outcome : `access-${noAccess.state}`;
    metrics.containers.inc({ target, outcome: decision.action === 'keep' ? decision.reason : kept });
    for (const warning of decision.warnings) metrics.filterWarnings.inc({ kind: warning.kind });
  }
}
