/**
 * `strict`: the service's own file. `k8s-image-swapper`: the file of k8s-image-swapper, read as its loader (viper) does: keys are case-insensitive,
 * unknown keys are ignored, and values are converted.
 */
export type Dialect = 'strict' | 'k8s-image-swapper';

/** The dialect for a file name. */
export function dialectOf(file: string): Dialect {
  return /(?:^|[/\\])\.k8s-image-swapper\.ya?ml$/i.test(file) ? 'k8s-image-swapper' : 'strict';
}
