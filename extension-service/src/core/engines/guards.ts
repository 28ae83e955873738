import { InvalidPolicyOptionError } from '../policies/problem.js';
import type { Engine } from './engine.js';

/** The keys of `source` that an engine must support. */
export interface SourceGuards {
  readonly accessCheck?: unknown;
  readonly directTarget?: unknown;
}

export interface GuardedPolicies {
  readonly failClosed: boolean;
  /** A target has `imageSwapPolicy: always`, so that an engine without a service computes names. */
  readonly computes: boolean;
}

/** @throws InvalidPolicyOptionError if the engine's policies would allow what the configuration forbids */
export function checkGuards(
  { accessCheck, directTarget }: SourceGuards,
  { name, decides }: Pick<Engine, 'name' | 'decides'>,
  { failClosed, computes }: GuardedPolicies,
): void {
  if (accessCheck === 'pullSecrets' && decides.sees === 'images') {
    const reason = `is pullSecrets, but ${name} sends only image names: use another engine, or set none`;
    throw new InvalidPolicyOptionError('source.accessCheck', reason);
  }
  if (accessCheck === 'pullSecrets' && decides.alone === true && computes) {
    const reason = `is pullSecrets, but ${name} computes names under imageSwapPolicy always, and nothing asks the service which Pods can read an image: set imageSwapPolicy: exists, or use another engine`;
    throw new InvalidPolicyOptionError('source.accessCheck', reason);
  }
  if (directTarget !== 'refuse') return;
  const option = 'source.directTarget';
  if (decides.denies === 'never') {
    throw new InvalidPolicyOptionError(
      option,
      `is refuse, but ${name} cannot refuse Pods: use another engine, or set keep`,
    );
  }
  if (decides.denies === 'fail-closed' && !failClosed) {
    const reason = `is refuse, but policies of ${name} refuse a Pod only with failClosed: set policies.failClosed: true`;
    throw new InvalidPolicyOptionError(option, reason);
  }
}
