export type { OperatorProps, PodProps } from './pod-props.js';
export type { PolicyProps } from './policy-props.js';
export { GatekeeperMutation, type GatekeeperMutationProps } from './gatekeeper-mutation.js';
export { KyvernoClusterPolicy, type ConfigMapKey, type KyvernoClusterPolicyProps } from './kyverno-cluster-policy.js';
export { KyvernoMutatingPolicy, type KyvernoMutatingPolicyProps } from './kyverno-mutating-policy.js';
export { MutatingAdmission, type MutatingAdmissionProps } from './mutating-admission.js';
export { MutatingWebhook, type MutatingWebhookProps } from './mutating-webhook.js';
export {
  PlainHttpNetworkPolicy,
  type PlainHttpNetworkPolicyProps,
  type PlainListenerProps,
} from './plain-http-network-policy.js';
export { ImageSwapper, type ImageSwapperProps } from './image-swapper.js';
export type { ImageCopyPolicy, ImageSwapPolicy, SwapperConfig, SwapperTarget } from './swapper-config.js';
export type { SwapperPolicies } from './swapper-policies.js';
