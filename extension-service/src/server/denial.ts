/** Why a Pod is refused, addressed to its author. */
export interface Denial {
  readonly kind: 'container' | 'volume';
  /** The name of the container or volume. */
  readonly container: string;
  /** `direct-target`, or why the copy failed. */
  readonly reason: string;
  readonly message: string;
  /** HTTP status: 403 if the same Pod would be refused again, 502 if a retry may help. */
  readonly status: 403 | 502;
}
