import { renderGatekeeper } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { renderKyvernoClusterPolicy } from '../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import type { ApiObject } from './kube-api.js';

export interface EngineOptions {
  /** host:port of the service. */
  readonly address: string;
  readonly targets: readonly string[];
  readonly filters: readonly string[];
  readonly ca: string;
  readonly failClosed: boolean;
  /** @default the renderer's */
  readonly timeoutSeconds?: number;
  readonly name?: string;
  readonly excludedNamespaces?: readonly string[];
}

/** One way of calling the service, and its features. */
export interface Engine {
  readonly name: string;
  /** The route that the engine calls, by its name in the service's metrics. */
  readonly route: 'kyverno' | 'gatekeeper' | 'webhook';
  readonly scheme: 'http' | 'https';
  /** Whether the engine swaps ephemeral containers. Gatekeeper cannot distinguish new ones from old ones. */
  readonly ephemeral: boolean;
  /** Whether the engine checks the response before it applies it. */
  readonly guarded: boolean;
  /** Whether the engine calls again after a later webhook has changed the Pod. */
  readonly reinvoked: boolean;
  /**
   * Whether requests of the engine start copies. Gatekeeper sends neither the Pod nor whether the request is a dry run.
   */
  readonly copies: boolean;
  objects(options: EngineOptions): readonly ApiObject[];
}

/** Timeout of engines in seconds where a service is too slow on purpose. */
export const SHORT_TIMEOUT = 2;
/**
 * Timeout of engines in seconds everywhere else, so that no outcome depends on the speed of the machine. The values for
 * Gatekeeper's chart allow no longer one.
 */
export const LONG_TIMEOUT = 28;
/** The place from which a ClusterPolicy reads the CA certificate of the service. */
export const CA_CONFIG_MAP = { name: 'image-swapper-ca', namespace: 'image-swapper' };

function common({ address, targets, ca, ...options }: EngineOptions, scheme: 'http' | 'https') {
  // Each engine declares whether it supports these.
  void [targets, ca];
  return { ...options, url: `${scheme}://${address}` };
}
const plain = (objects: readonly object[]): readonly ApiObject[] => objects as readonly ApiObject[];

export const ENGINES: readonly Engine[] = [
  {
    name: 'Kyverno MutatingPolicy, http',
    route: 'kyverno',
    scheme: 'http',
    ephemeral: true,
    guarded: true,
    reinvoked: false,
    copies: true,
    objects: (options) =>
      plain([renderKyvernoMutatingPolicy({ ...common(options, 'http'), targets: options.targets })]),
  },
  {
    name: 'Kyverno MutatingPolicy, https',
    route: 'kyverno',
    scheme: 'https',
    ephemeral: true,
    guarded: true,
    reinvoked: false,
    copies: true,
    objects: (options) =>
      plain([renderKyvernoMutatingPolicy({ ...common(options, 'https'), targets: options.targets })]),
  },
  {
    name: 'Kyverno ClusterPolicy',
    route: 'kyverno',
    scheme: 'https',
    ephemeral: true,
    guarded: true,
    reinvoked: true,
    copies: true,
    objects: (options) =>
      plain([
        renderKyvernoClusterPolicy({
          ...common(options, 'https'),
          targets: options.targets,
          caConfigMap: CA_CONFIG_MAP,
        }),
      ]),
  },
  {
    name: 'Gatekeeper',
    route: 'gatekeeper',
    scheme: 'https',
    ephemeral: false,
    guarded: false,
    reinvoked: true,
    copies: false,
    objects: (options) => plain(renderGatekeeper({ ...common(options, 'https'), caBundle: options.ca })),
  },
  {
    name: 'plain webhook',
    route: 'webhook',
    scheme: 'https',
    ephemeral: true,
    guarded: false,
    reinvoked: true,
    copies: true,
    objects: (options) =>
      plain([renderMutatingWebhook({ ...common(options, 'https'), targets: options.targets, caBundle: options.ca })]),
  },
];
