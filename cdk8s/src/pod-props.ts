/** An operator, identified by the objects that own its Pods. */
export interface OperatorProps {
  readonly apiGroup: string;
  readonly kind: string;
  /** `KEY` or `KEY=VALUE`: a label of its Pods, for Pods that another object such as a StatefulSet owns. */
  readonly label?: string;
}

/** Keys of the service's configuration that policies depend on, except targets and filters. */
export interface PodProps {
  /**
   * `source.volumes`: also swap image volumes.
   * @default true
   */
  readonly volumes?: boolean;
  /**
   * `source.operators`: Pods of these operators cost no call and are not changed. Gatekeeper only knows those with a label.
   * @default none; for the construct ImageSwapper: those of the configuration
   */
  readonly operators?: readonly OperatorProps[];
  /**
   * `pods.pullSecret`: the only pull secret that the policy accepts for swapped Pods.
   * @default none
   */
  readonly pullSecret?: string;
  /**
   * `pods.annotate`: the policy accepts the annotation `image-swapper.io/original-images`.
   * @default false
   */
  readonly annotate?: boolean;
}
