import { rootCertificates } from 'node:tls';
import { Construct } from 'constructs';
import { copyWarnings } from '../../extension-service/src/core/engines/copy-warnings.js';
import { OWN_OPTIONS } from '../../extension-service/src/core/engines/engine.js';
import type { DecidedInput } from '../../extension-service/src/core/engines/engine.js';
import type { Engine, OwnOptions } from '../../extension-service/src/core/engines/engine.js';
import { engineNamed } from '../../extension-service/src/core/engines/engines.js';
import { canWait } from '../../extension-service/src/core/engines/waiting.js';
import { checkGuards } from '../../extension-service/src/core/engines/guards.js';
import { checkLabel, DEFAULT_NAME, NAME_LABEL } from '../../extension-service/src/core/policies/options.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { mapping, boolean } from '../../extension-service/src/core/policies/shapes.js';
import { transportOf } from '../../extension-service/src/core/engines/transport.js';
import { ENGINE_CONSTRUCTS } from './engine-constructs.js';
import type { EngineName } from './engine-name.js';
import type { ConfigMapKey } from './kyverno-cluster-policy.js';
import { PlainHttpNetworkPolicy } from './plain-http-network-policy.js';
import type { PlainListenerProps } from './plain-http-network-policy.js';
import type { PolicyProps } from './policy-props.js';
import { render } from './render.js';
import {
  callerOf,
  decidedOf,
  directTargetOf,
  filtersOf,
  matchesOf,
  podsOf,
  targetsOf,
  timeoutOf,
} from './swapper-config.js';
import type { SwapperConfig } from './swapper-config.js';
import { resolveChoices } from './swapper-policies.js';
import { muteTransportWarnings, warn } from './warn.js';

export interface ImageSwapperProps extends Omit<PolicyProps, 'url' | 'name' | 'failClosed'>, PlainListenerProps {
  /**
   * The service's configuration. The policies use its targets, its filters and its hash; its `policies` are the
   * defaults of the props `engine`, `name`, `url` and `failClosed`. A prop that contradicts it stops the synth; the
   * `excludedNamespaces` of both are merged.
   */
  readonly config: SwapperConfig;
  /**
   * The engine that calls the service: Kyverno with a MutatingPolicy (1.19 or newer; 1.18 with a changed list of
   * blocked addresses) or a ClusterPolicy (before 1.20), Gatekeeper (3.23 or newer), or the API server itself
   * (Kubernetes 1.28 or newer). With `mutatingadmissionpolicy` the API server swaps without a call (Kubernetes 1.36 or
   * newer, imageSwapPolicy `always`).
   * @default the configuration's `policies.engine`, else 'kyverno'
   */
  readonly engine?: EngineName;
  /**
   * Name of the rendered policies.
   * @default the configuration's `policies.name`, else 'image-swapper'
   */
  readonly name?: string;
  /**
   * Refuse Pods when the service gives no usable answer.
   * @default the configuration's `policies.failClosed`, else false: Pods are admitted unchanged
   */
  readonly failClosed?: boolean;
  /**
   * How the engine reaches the service.
   *
   * - `plain-http`: no TLS, with a NetworkPolicy that admits only Kyverno. Needs no change to Kyverno, but anyone who
   * can read the network between them can read Pods.
   * - `private-ca`: TLS with a certificate of your own CA, given as `caBundle`. A MutatingPolicy cannot carry it:
   * install Kyverno with `engineValues`.
   * - `public`: TLS with a certificate of a public CA. Set `url` to a name for which the certificate is valid.
   * @default 'plain-http' for kyverno, else 'private-ca'
   */
  readonly tls?: 'plain-http' | 'private-ca' | 'public';
  /**
   * Base address of the service.
   * @default the configuration's `policies.url`, else the address of its Helm chart, installed as image-swapper in the
   * namespace image-swapper
   */
  readonly url?: string;
  /**
   * CA certificates (PEM) that sign the service's certificate.
   * @default none
   */
  readonly caBundle?: string;
  /**
   * The ConfigMap from which kyverno-clusterpolicy reads the CA certificates at each request, so that they can rotate.
   * Not with `caBundle`.
   * @default none
   */
  readonly caConfigMap?: ConfigMapKey;
  /**
   * With `plain-http`: also render a NetworkPolicy for the service's Pods that lets only Kyverno's namespace reach the
   * plain listener, configured by `podLabels`, `podPort` and `engineNamespace`. Needs a `url` that names a Service.
   * @default true
   */
  readonly networkPolicy?: boolean;
  /**
   * With `gatekeeper`: also swap the images of ephemeral containers. Gatekeeper cannot tell new ones from existing
   * ones: the API server refuses to add a second one to a Pod if the answer for the first has changed since. The other
   * engines always call for new ones.
   * @default false
   */
  readonly ephemeralContainers?: boolean;
  /**
   * With `webhook`: call again when a later webhook changes the Pod, for example to add a sidecar.
   * @default 'IfNeeded'; 'Never' with `source.directTarget: refuse`
   */
  readonly reinvocationPolicy?: 'IfNeeded' | 'Never';
}

/** The policies for a configuration of the service, for the engine that you choose. */
export class ImageSwapper extends Construct {
  /** Warnings about the chosen transport, which the synth also prints to stderr. */
  readonly warnings: readonly string[];
  /**
   * Values that these policies need in the engine's own Helm chart; undefined if they need none. For Kyverno they
   * contain Node's public CA certificates in addition to yours, since its chart replaces the whole trust store.
   */
  readonly engineValues: object | undefined;

  constructor(scope: Construct, id: string, props: ImageSwapperProps) {
    super(scope, id);
    muteTransportWarnings(this);
    const { tls, caBundle, caConfigMap } = props;
    const { podLabels, podPort, engineNamespace } = props;
    const config = render(scope, id, () => mapping(props.config, 'config'));
    const choices = render(scope, id, () => {
      return resolveChoices(props, config.policies == null ? {} : mapping(config.policies, 'config.policies'));
    });
    const { url, name, failClosed = false, undecidable, table, origins } = choices;
    const engine = engineNamed(choices.engine, { undecidable, table });
    const checked = <Result>(renderer: () => Result): Result =>
      render(scope, id, renderer, { filters: 'config.source.filters', source: 'config.source', ...origins });
    if (table) checked(() => checkTable(engine, config));
    const transport = checked(() =>
      transportOf({
        ...{ engine: engine.name, undecidable },
        ...(tls !== undefined && { tls }),
        ...(url !== undefined && { url }),
        ...(caBundle !== undefined && { caBundle }),
        ...(caConfigMap !== undefined && { caConfigMap }),
        networkPolicy: boolean(props.networkPolicy, 'networkPolicy') ?? true,
        failClosed,
        excludedNamespaces: choices.excludedNamespaces ?? [],
      }),
    );
    const [targets, filters, matches] = checked(() => [targetsOf(config), filtersOf(config), matchesOf(config)]);
    const timeoutSeconds = props.timeoutSeconds ?? (canWait(engine) ? checked(() => timeoutOf(config)) : undefined);
    const { labels, annotations, ephemeralContainers, reinvocationPolicy } = props;
    const policy = {
      ...{ undecidable, hasTable: table },
      url: transport.url,
      targets,
      filters,
      decided: checked(() => decidedOf(config)) as DecidedInput,
      pods: checked(() => podsOf(config)),
      failClosed,
      excludedNamespaces: [
        ...(choices.excludedNamespaces ?? []),
        // The defaults are excluded in any case.
        ...(engineNamespace === undefined ? [] : [engineNamespace]),
      ],
      ...(name !== undefined && { name }),
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
      ...transport.ca,
      ...checked(() => callerOf(config)),
      ...checked(() => directTargetOf(config)),
      ...(ephemeralContainers !== undefined && { ephemeralContainers }),
      ...(reinvocationPolicy !== undefined && { reinvocationPolicy }),
    };
    checked(() => {
      rejectUnusedProps(props, engine, transport.guarded);
      engine.decides.checkMatches?.(matches);
      checkGuards(config.source ?? {}, engine, { failClosed, computes: true });
      if (engineNamespace !== undefined) checkLabel(engineNamespace, 'engineNamespace');
      ENGINE_CONSTRUCTS[engine.name](this, 'Policy', policy);
      if (!transport.guarded) return;
      new PlainHttpNetworkPolicy(this, 'NetworkPolicy', {
        url: transport.url,
        labels: { [NAME_LABEL]: DEFAULT_NAME, ...labels },
        ...(podLabels !== undefined && { podLabels }),
        ...(podPort !== undefined && { podPort }),
        ...(engineNamespace !== undefined && { engineNamespace }),
      });
    });
    this.engineValues = checked(() => valuesFor(engine, props, transport.url));
    this.warnings = [
      ...transport.warnings,
      ...(config.policies?.manage === true ? [table ? WITH_TABLE : MANAGED] : []),
      ...copyWarnings(engine, config).map((warning) => `config.${warning}`),
    ];
    warn(this, this.warnings);
  }
}

const MANAGED =
  'config.policies.manage is true: the service writes policies itself, in addition to those that are rendered here. Leave out ' +
  'policies.manage, or this construct.';

const WITH_TABLE =
  'config.policies.manage and config.policies.table are true: the leader also writes the GlobalContextEntry and the policy that are ' +
  'rendered here, and puts its own version back after each apply. It cannot create the CustomResourceDefinition and the ClusterRole.';

/**
 * With the service's wording. Other problems are found while rendering.
 *
 * @throws InvalidPolicyOptionError
 */
function checkTable({ name, table }: Engine, { policies, reconcile }: SwapperConfig): void {
  if (table === undefined || table === 'literals') {
    const why = table === undefined ? 'whose policies cannot read a table of images' : 'which always has a table';
    const reason = `is true, but the engine is ${name}, ${why}: leave it out, or use the engine kyverno`;
    throw new InvalidPolicyOptionError('table', reason);
  }
  if (policies?.manage !== true) {
    const reason =
      'is true, but config.policies.manage is false: nothing would write the table: set config.policies.manage: true';
    throw new InvalidPolicyOptionError('table', reason);
  }
  if (reconcile?.enabled === false) {
    const reason =
      'is true, but config.reconcile.enabled is false: the table would stay empty: set config.reconcile.enabled: true';
    throw new InvalidPolicyOptionError('table', reason);
  }
}

/** Rejects props about the NetworkPolicy if there is none, and props of other engines. */
function rejectUnusedProps(props: ImageSwapperProps, { name, ownOptions }: Engine, guarded: boolean): void {
  for (const option of Object.keys(OWN_OPTIONS) as (keyof OwnOptions)[]) {
    if (props[option] === undefined || ownOptions.includes(option)) continue;
    throw new InvalidPolicyOptionError(option, `has no effect under ${name}, ${OWN_OPTIONS[option]}; leave it out`);
  }
  if (guarded) return;
  const { podLabels, podPort } = props;
  const useless = podLabels !== undefined ? 'podLabels' : podPort !== undefined ? 'podPort' : undefined;
  if (useless === undefined) return;
  throw new InvalidPolicyOptionError(useless, 'has no effect, because no NetworkPolicy is rendered; leave it out');
}

/** Undefined if the engine's chart needs no values. */
function valuesFor(engine: Engine, { timeoutSeconds, caBundle }: ImageSwapperProps, url: string): object | undefined {
  const { values } = engine.helmValues({
    url,
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    ...(caBundle !== undefined && { caBundle }),
    // Kyverno's chart replaces the whole trust store.
    publicRoots: { pem: rootCertificates.join('\n'), knownTo: 'Node' },
  });
  return Object.keys(values).length === 0 ? undefined : values;
}
