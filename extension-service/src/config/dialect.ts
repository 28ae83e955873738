/**
 * `ours`: strict. `anchor`: the file of k8s-image-swapper, read as its loader (viper) does: keys in any letter case,
 * what it does not know is passed over, values are converted.
 */
export type Dialect = 'ours' | 'anchor';

/** By the file's name. */
export function dialectOf(file: string): Dialect {
  return /(?:^|[/\\])\.k8s-image-swapper\.ya?ml$/i.test(file) ? 'anchor' : 'ours';
}
