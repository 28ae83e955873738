/** Keys and indexes, relative to the mapping that a rule checks. */
export type KeyPath = readonly (string | number)[];

/** The input of a rule about several keys of one mapping, and its way to report problems. */
export interface RuleScope {
  /** `k8s-image-swapper`: the configuration is the file of k8s-image-swapper. */
  readonly dialect: 'strict' | 'k8s-image-swapper';
  /** Whether the key is written, in the file, the environment or a flag, rather than a default. */
  isWritten(path: KeyPath): boolean;
  error(path: KeyPath, message: string, allowed?: string): void;
  warn(path: KeyPath, message: string, allowed?: string): void;
  report(severity: 'error' | 'warning', path: KeyPath, message: string, allowed?: string): void;
  /** A missing key that another one needs, reported at the other key. */
  missing(path: KeyPath, neededBy: KeyPath, message: string, allowed?: string): void;
}
