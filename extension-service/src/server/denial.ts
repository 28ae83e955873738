/** Why a Pod is refused, for its author. */
export interface Denial {
  readonly kind: 'container' | 'volume';
  /** The name of the container or volume. */
  readonly container: string;
  /** `direct-target`, or why the copy failed. */
  readonly reason: string;
  readonly message: string;
  /** Of the answer: 403 where the same Pod is refused again, 502 where another try may help. */
  readonly status: 403 | 502;
}
