import { Construct } from 'constructs';
import type { DecidedInput } from '../../extension-service/src/core/engines/engine.js';
import { engineNamed } from '../../extension-service/src/core/engines/engines.js';
import type { EngineName } from './engine-name.js';
import { GatekeeperMutation } from './gatekeeper-mutation.js';
import { KyvernoClusterPolicy } from './kyverno-cluster-policy.js';
import type { ConfigMapKey } from './kyverno-cluster-policy.js';
import { KyvernoMutatingPolicy } from './kyverno-mutating-policy.js';
import { addObjects } from './mutating-admission.js';
import { MutatingWebhook } from './mutating-webhook.js';
import type { PodProps } from './pod-props.js';
import type { PolicyProps } from './policy-props.js';

/** The props of all engines' constructs combined; each construct uses a part of them. */
export interface EngineProps extends PolicyProps {
  readonly targets: readonly string[];
  readonly filters: readonly string[];
  readonly directTarget?: 'keep' | 'refuse';
  readonly pods?: PodProps;
  readonly caBundle?: string;
  readonly callerSecret?: { readonly name: string; readonly namespace: string };
  readonly callerPath?: string;
  readonly caConfigMap?: ConfigMapKey;
  readonly ephemeralContainers?: boolean;
  readonly reinvocationPolicy?: 'IfNeeded' | 'Never';
  /** For an engine that makes no calls. */
  readonly decided: DecidedInput;
  /** `policies.undecidable`. */
  readonly undecidable: 'refuse' | 'webhook';
  /** `policies.table`. */
  readonly hasTable: boolean;
}

/** The construct of each engine. */
export const ENGINE_CONSTRUCTS: Readonly<
  Record<EngineName, (scope: Construct, id: string, props: EngineProps) => void>
> = {
  kyverno: (scope, id, props) => {
    if (!props.hasTable) new KyvernoMutatingPolicy(scope, id, props);
    else addRendered(scope, id, 'kyverno', props);
  },
  'kyverno-clusterpolicy': (scope, id, props) => {
    new KyvernoClusterPolicy(scope, id, props);
  },
  gatekeeper: (scope, id, { caBundle = '', directTarget, ...props }) => {
    void directTarget;
    new GatekeeperMutation(scope, id, { ...props, caBundle });
  },
  webhook: (scope, id, props) => {
    new MutatingWebhook(scope, id, props);
  },
  mutatingadmissionpolicy: (scope, id, props) => addRendered(scope, id, 'mutatingadmissionpolicy', props),
};

/** For objects without a construct of their own. */
function addRendered(
  scope: Construct,
  id: string,
  engine: EngineName,
  { url, caBundle, callerPath, callerSecret, undecidable, hasTable, ...props }: EngineProps,
): void {
  const credentials = {
    ...(callerPath !== undefined && { path: callerPath }),
    ...(callerSecret !== undefined && { secret: callerSecret }),
  };
  const call = { url, ...(caBundle !== undefined && { caBundle }), credentials };
  addObjects(
    new Construct(scope, id),
    engineNamed(engine, { undecidable, table: hasTable }).render({ ...props, call }),
  );
}
