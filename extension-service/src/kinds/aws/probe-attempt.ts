import type { RegistryClient } from '../../registry/client.js';
import { isDecidedElsewhere } from './advice.js';
import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { ecrHost } from './hosts.js';
import { AwsCallError, awsProblem, refusedAction } from './problems.js';

export interface EcrProbe {
  readonly aws: AwsConfig;
  /** `target NAME` or `source HOST`. */
  readonly registry: string;
  readonly isTarget: boolean;
  /** `gc` deletes images there. */
  readonly deletes: boolean;
  readonly clients: () => Promise<AwsClients>;
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
}

export type ReportCheck = (check: string, ok: boolean, message: string) => void;

/** The result of one call, or the class of its failure with a message. */
export type Attempt<T> = { readonly value: T } | FailedAttempt;

export interface FailedAttempt {
  readonly problem: string;
  readonly kind: string;
  /** The action that a statement in the identity's policy would allow; undefined if that would not help. */
  readonly lacks: string | undefined;
}

export async function attempt<T>(
  { aws, clients }: EcrProbe,
  action: string,
  resource: string,
  call: (clients: AwsClients) => Promise<T>,
): Promise<Attempt<T>> {
  try {
    return { value: await call(await clients()) };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof AwsCallError ? error.cause : error;
    const { message, kind } = awsProblem(ecrHost(aws), action, resource, cause);
    const lacks = kind !== 'forbidden' || isDecidedElsewhere(message) ? undefined : (refusedAction(cause) ?? action);
    return { problem: message, kind, lacks };
  }
}
