/** The engines that policies are rendered for, in the order in which people read them. `engines.ts` says what each is. */
export const ENGINE_NAMES = [
  'kyverno',
  'kyverno-clusterpolicy',
  'gatekeeper',
  'webhook',
  'mutatingadmissionpolicy',
] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];
