import type { JsonObject } from '../core/decide/pod.js';
import type { ContainerDecision } from '../core/decide/decide.js';
import { ROUTE_NAMES, ROUTES } from '../core/engines/routes.js';
import type { RouteName } from '../core/engines/routes.js';
import { oneLine } from '../core/image/quote.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Admission, AdmissionRequest, AdmissionResult, ContainerOutcome } from './admission.js';
import type { Answer } from './answer.js';
import { answerGatekeeper } from './gatekeeper.js';
import type { GatekeeperRules } from './gatekeeper-rules.js';
import { answerKyverno } from './kyverno.js';
import type { PolicyWatch } from './policy-watch.js';
import { answerWebhook } from './webhook.js';

/**
 * Answers the body of one route; `configHash` is what the asking policy says that it was rendered for. Rejects with
 * BadRequestError for what cannot be read.
 */
export type Route = (body: string, configHash?: string) => Promise<Answer>;

export interface RouteDependencies {
  readonly admission: Pick<Admission, 'review' | 'reviewImages'>;
  /** Rules that can be decided from images alone, for the profile that Gatekeeper asked with. */
  readonly gatekeeperRules: GatekeeperRules;
  readonly policies: Pick<PolicyWatch, 'saw' | 'cannotDecide'>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The routes that policy engines and the API server call, by path. */
export function admissionRoutes(
  dependencies: RouteDependencies,
): (path: string) => { name: string; route: Route } | undefined {
  const review =
    (name: string) =>
    async (request: AdmissionRequest): Promise<AdmissionResult> => {
      const started = performance.now();
      const result = await dependencies.admission.review(request);
      report(dependencies, name, request, result, performance.now() - started);
      return result;
    };
  const gatekeeper =
    (profile?: string): Route =>
    (body) =>
      answerGatekeeper(body, async (images) => {
        const [, hash] = /^filters-(.*)$/.exec(profile ?? '') ?? [];
        dependencies.policies.saw('gatekeeper', hash);
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
    (body) => {
      dependencies.policies.saw('webhook', hash);
      return answerWebhook(body, review('webhook'));
    };
  const kyverno = (): Route => (body, configHash) => {
    dependencies.policies.saw('kyverno', configHash);
    return answerKyverno(body, review('kyverno'));
  };
  const handlers: Readonly<Record<RouteName, (configuration?: string) => Route>> = { kyverno, gatekeeper, webhook };
  return (path) => {
    for (const name of ROUTE_NAMES) {
      const { path: start, configHash } = ROUTES[name];
      if (path === start) return { name, route: handlers[name]() };
      if (configHash.in === 'path' && path.startsWith(`${start}/`)) {
        return { name, route: handlers[name](path.slice(start.length + 1)) };
      }
    }
    return undefined;
  };
}

const NO_POD: JsonObject = { metadata: {}, spec: {}, status: {} };

function report(
  { log, metrics }: RouteDependencies,
  route: string,
  request: AdmissionRequest,
  { containers, denied }: AdmissionResult,
  milliseconds: number,
): void {
  count(metrics, containers);
  let level: 'debug' | 'info' | 'warn' = 'debug';
  for (const { decision, outcome, copy } of containers) {
    if ((outcome !== 'kept' || copy === 'failed' || copy === 'late') && level === 'debug') level = 'info';
    if (decision.warnings.length > 0 || (decision.action === 'keep' && TROUBLE.includes(decision.reason)))
      level = 'warn';
  }
  if (!log.isLevelEnabled(level)) return;
  const { metadata } = request.pod;
  const pod = typeof metadata === 'object' && metadata !== null ? (metadata as JsonObject) : {};
  log[level](
    {
      route,
      uid: shortened(request.uid),
      namespace: shortened(request.namespace),
      pod: shortened(pod['name'] ?? pod['generateName']),
      milliseconds: Math.round(milliseconds * 10) / 10,
      ...(request.dryRun && { dryRun: true }),
      ...(denied !== undefined && { denied: shortened(denied.container), reason: denied.failure.reason }),
      containers: containers.slice(0, LOGGED_CONTAINERS).map(summary),
      ...(containers.length > LOGGED_CONTAINERS && { more: containers.length - LOGGED_CONTAINERS }),
    },
    'decided',
  );
}

/** A line for each Pod, whatever its size; names of Kubernetes have at most 253 characters. */
const LOGGED_CONTAINERS = 50;
/** Reasons that are probably a mistake of the Pod's author. */
const TROUBLE: readonly string[] = ['invalid-image', 'too-large'];

function shortened(name: unknown): string {
  return typeof name === 'string' ? oneLine(name.slice(0, 253)) : '';
}

function summary({ decision, outcome, image, copy, existence }: ContainerOutcome): Record<string, unknown> {
  const { container, warnings } = decision;
  return {
    name: shortened(container.name),
    image: oneLine(container.image.slice(0, 512)),
    outcome,
    reason: reason(decision),
    ...(outcome !== 'kept' && { swappedTo: image }),
    ...(existence !== undefined && { inTarget: existence.state === 'unknown' ? existence.reason : existence.state }),
    ...(copy !== undefined && { copy }),
    ...(decision.action === 'keep' && TROUBLE.includes(decision.reason) && { detail: decision.detail }),
    ...(warnings.length > 0 && { warnings }),
  };
}

function reason(decision: ContainerDecision): string {
  return decision.action === 'keep' ? decision.reason : `target ${decision.target.config.name}`;
}

function count(metrics: Metrics, containers: readonly ContainerOutcome[]): void {
  for (const { decision, outcome } of containers) {
    const target = decision.action === 'mirror' ? decision.target.config.name : '';
    metrics.containers.inc({ target, outcome: decision.action === 'keep' ? decision.reason : outcome });
    for (const warning of decision.warnings) metrics.filterWarnings.inc({ kind: warning.kind });
  }
}
