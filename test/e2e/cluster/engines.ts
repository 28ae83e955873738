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
  /** The route that it asks, as the service's metrics call it. */
  readonly route: 'kyverno' | 'gatekeeper' | 'webhook';
  readonly scheme: 'http' | 'https';
  /** Ephemeral containers, of which Gatekeeper cannot tell new ones from old ones. */
  readonly ephemeral: boolean;
  /** Whether it checks the answer before it applies it. */
  readonly guarded: boolean;
  /** Whether it calls again after a later webhook changed the Pod. */
  readonly reinvoked: boolean;
  /** Starts copies: Gatekeeper sends neither the Pod nor whether it is a dry run. */
  readonly copies: boolean;
  objects(options: EngineOptions): readonly ApiObject[];
}

/** Seconds that engines wait: short, so that a slow service costs the tests little. */
export const TIMEOUT = 2;
/** Where ClusterPolicy reads the CA certificate of the service. */
export const CA_CONFIG_MAP = { name: 'image-swapper-ca', namespace: 'image-swapper' };

function common({ address, targets, ca, ...options }: EngineOptions, scheme: 'http' | 'https') {
  // Each engine says for itself whether it takes these.
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
