import type { Construct } from 'constructs';
import { transportWarnings } from '../../extension-service/src/core/engines/transport.js';
import type { EngineName } from './engine-name.js';
import type { ConfigMapKey } from './kyverno-cluster-policy.js';

/** Context key of what is inside a construct that says itself what the transport costs. */
const TRANSPORT_REPORTED = '@image-swapper/cdk8s:transport-said';

/** The input of the warnings: the published declarations must not name the core's types. */
interface TransportChoices {
  readonly engine: EngineName;
  readonly url: string;
  readonly failClosed?: boolean;
  readonly caBundle?: string;
  readonly caConfigMap?: ConfigMapKey;
}

/** On stderr at synth, with the construct that it is about. */
export function warn(construct: Construct, warnings: readonly string[]): void {
  for (const warning of warnings) process.emitWarning(`${construct.node.path}: ${warning}`, 'ImageSwapper');
}

/** For a policy that somebody uses by itself: it renders no NetworkPolicy, and cannot know of one. */
export function warnOfTransport(policy: Construct, options: TransportChoices): void {
  if (policy.node.tryGetContext(TRANSPORT_REPORTED) === true) return;
  warn(policy, transportWarnings(options));
}

/** Has the policies that are put into the construct later say nothing. */
export function muteTransportWarnings(construct: Construct): void {
  construct.node.setContext(TRANSPORT_REPORTED, true);
}
