import type { Judgement } from '../core/gate/judge.js';

export type Refusal = Extract<Judgement, { readonly state: 'held' | 'denied' }>;

/** An image that its target's gate does not let in, for now or at all. */
export class GateError extends Error {
  override readonly name = 'GateError';
  constructor(readonly refusal: Refusal) {
    super(describe(refusal));
  }
}

function describe(refusal: Refusal): string {
  const { state, check, reason } = refusal;
  if (state === 'denied') return `denied by gate.${check}: ${reason}`;
  const until = new Date(refusal.until).toISOString().replace(/\.\d+Z$/, 'Z');
  return `held by gate.${check} until ${until}: ${reason}`;
}
