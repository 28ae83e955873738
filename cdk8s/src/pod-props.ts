/** Keys of the service's configuration, besides targets and filters, that policies depend on. */
export interface PodProps {
  /**
   * `source.volumes`: image volumes are swapped too.
   * @default true
   */
  readonly volumes?: boolean;
}
