/** The engines that policies are rendered for, in display order. `engines.ts` describes each. */
export const ENGINE_NAMES = [
  'kyverno',
  'kyverno-clusterpolicy',
  'gatekeeper',
  'webhook',
  'mutatingadmissionpolicy',
] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];
