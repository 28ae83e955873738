/** A fault of a control-plane call. */
export type ControlFault =
  /** An error with AWS's name, such as `ThrottlingException`. The call is not executed. */
  | { readonly type: 'error'; readonly code: string; readonly message?: string; readonly status?: number }
  /** AWS's AccessDenied error, which names the caller, the action and the resource. */
  | { readonly type: 'denied' }
  /** The call gets no response, or its connection is cut. It is not executed. */
  | { readonly type: 'hang' | 'reset' }
  /** The call is executed, but the connection is cut before the response, so the client does not know the outcome. */
  | { readonly type: 'lost' };

export interface ControlFaultRule {
  /**
   * The action without the service prefix, such as `CreateRepository` or `AssumeRole`. Undefined matches every action.
   */
  readonly action?: string | undefined;
  /** Matches only calls about this repository. */
  readonly repository?: string;
  /** Matches only calls by this identity. */
  readonly arn?: string;
  /** The number of matching calls after which the fault ends. @default never */
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
