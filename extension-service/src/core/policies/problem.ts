/** A policy option that cannot be rendered. `option` is the name that the caller used, such as `targets[1]`. */
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
