/** A policy option that cannot be rendered. `option` is the caller's name for it, such as `targets[1]`. */
export class InvalidPolicyOptionError extends Error {
  readonly option: string;
  readonly reason: string;

  constructor(option: string, reason: string) {
    super(`${option}: ${reason}`);
    this.name = 'InvalidPolicyOptionError';
    this.option = option;
    this.reason = reason;
  }
}
