import type { Construct } from 'constructs';
import { transportWarnings } from '../../extension-service/src/core/engines/transport.js';
import type { EngineName } from './engine-name.js';
import type { ConfigMapKey } from './kyverno-cluster-policy.js';

/** Context key set on constructs that already report transport warnings for the policies inside them. */
const TRANSPORT_REPORTED = '@image-swapper/cdk8s:transport-said';

/** The input of the warnings: the published declarations must not name the core's types. */
interface TransportChoices {
  readonly engine: EngineName;
  readonly url: string;
  readonly failClosed?: boolean;
  readonly caBundle?: string;
  readonly caConfigMap?: ConfigMapKey;
}

/** Prints to stderr at synth, with the path of the construct. */
export function warn(construct: Construct, warnings: readonly string[]): void {
  for (const warning of warnings) process.emitWarning(`${construct.node.path}: ${warning}`, 'ImageSwapper');
}

/** For a policy that is used on its own: it renders no NetworkPolicy, and cannot know whether one exists. */
export function warnOfTransport(policy: Construct, options: TransportChoices): void {
  if (policy.node.tryGetContext(TRANSPORT_REPORTED) === true) return;
  warn(policy, transportWarnings(options));
}

/** Suppresses the warnings of policies that are later added to the construct. */
export function muteTransportWarnings(construct: Construct): void {
  construct.node.setContext(TRANSPORT_REPORTED, true);
}
