/** Keys and indexes, from the mapping that a rule is about down. */
export type KeyPath = readonly (string | number)[];

/** The input of a rule about several keys of one mapping, and its means to report. */
export interface RuleScope {
  /** `anchor`: the configuration is the file of k8s-image-swapper. */
  readonly dialect: 'ours' | 'anchor';
  /** Whether the key is written, in the file, the environment or a flag, rather than a default. */
  isWritten(path: KeyPath): boolean;
  error(path: KeyPath, message: string, allowed?: string): void;
  warn(path: KeyPath, message: string, allowed?: string): void;
  report(severity: 'error' | 'warning', path: KeyPath, message: string, allowed?: string): void;
  /** A key that another one needs: reported where that one is written. */
  missing(path: KeyPath, neededBy: KeyPath, message: string, allowed?: string): void;
}
