/** An operator, by the objects that own its Pods. */
export interface OperatorProps {
  readonly apiGroup: string;
  readonly kind: string;
  /** `KEY` or `KEY=VALUE`: a label of its Pods, where another object such as a StatefulSet owns them. */
  readonly label?: string;
}

/** Keys of the service's configuration that policies depend on, without targets and filters. */
export interface PodProps {
  /**
   * `source.volumes`: image volumes are swapped too.
   * @default true
   */
  readonly volumes?: boolean;
  /**
   * `source.operators`: Pods of these operators cost no call, and stay as they are.
   * @default none; the construct ImageSwapper: those of the configuration, as the service has them
   */
  readonly operators?: readonly OperatorProps[];
  /**
   * `pods.pullSecret`: the policy accepts this pull secret for swapped Pods, and no other.
   * @default none
   */
  readonly pullSecret?: string;
  /**
   * `pods.annotate`: the policy accepts the annotation `image-swapper.io/original-images`.
   * @default false
   */
  readonly annotate?: boolean;
}
