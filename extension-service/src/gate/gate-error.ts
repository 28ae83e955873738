import type { GateDecision } from '../core/gate/decide-gate.js';
import { utcSeconds } from '../core/utc-seconds.js';

export type Refusal = Extract<GateDecision, { readonly state: 'held' | 'denied' }>;

/** An image that its target's gate holds or denies. */
export class GateError extends Error {
  override readonly name = 'GateError';
  constructor(readonly refusal: Refusal) {
    super(describe(refusal));
  }
}

function describe(refusal: Refusal): string {
  const { state, check, reason } = refusal;
  if (state === 'denied') return `denied by gate.${check}: ${reason}`;
  return `held by gate.${check} until ${utcSeconds(refusal.until)}: ${reason}`;
}
