/** A fault of a control-plane call. */
export type ControlFault =
  /** An error by AWS's name, such as `ThrottlingException`; nothing is done. */
  | { readonly type: 'error'; readonly code: string; readonly message?: string; readonly status?: number }
  /** AccessDenied in AWS's words, with the caller, the action and the resource. */
  | { readonly type: 'denied' }
  /** Never answered, or its connection cut; nothing is done. */
  | { readonly type: 'hang' | 'reset' }
  /** Executed, and the connection cut before the answer: the client cannot know. */
  | { readonly type: 'lost' };

export interface ControlFaultRule {
  /** Without the service: `CreateRepository`, `AssumeRole`. Undefined: every action. */
  readonly action?: string | undefined;
  /** Only calls about this repository. */
  readonly repository?: string;
  /** Only calls of this identity. */
  readonly arn?: string;
  /** After how many matching calls it ends. @default never */
  readonly times?: number;
  readonly fault: ControlFault;
}

export interface FaultSubject {
  readonly action: string;
  readonly repository: string | undefined;
  readonly arn: string | undefined;
}

/** Faults in the order in which they were added; the first match applies. */
export class ControlFaults {
  #rules: { readonly rule: ControlFaultRule; left: number }[] = [];

  add(rule: ControlFaultRule): void {
    this.#rules.push({ rule, left: rule.times ?? Infinity });
  }

  clear(): void {
    this.#rules = [];
  }

  take({ action, repository, arn }: FaultSubject): ControlFault | undefined {
    const found = this.#rules.find(
      ({ rule, left }) =>
        left > 0 &&
        (rule.action ?? action) === action &&
        (rule.repository ?? repository) === repository &&
        (rule.arn ?? arn) === arn,
    );
    if (found === undefined) return undefined;
    found.left -= 1;
    return found.rule.fault;
  }
}
