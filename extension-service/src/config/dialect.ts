/**
 * `ours`: strict. `anchor`: the file of k8s-image-swapper, read as its loader (viper) does: keys are case-insensitive,
 * unknown keys are ignored, and values are converted.
 */
export type Dialect = 'ours' | 'anchor';

/** The dialect for a file name. */
export function dialectOf(file: string): Dialect {
  return /(?:^|[/\\])\.k8s-image-swapper\.ya?ml$/i.test(file) ? 'anchor' : 'ours';
}
