/** A fault of the API server instead of a proper response. */
export type ClusterFault =
  /** A `Status` with this code. */
  | { readonly type: 'status'; readonly code: number; readonly headers?: Readonly<Record<string, string>> }
  /** An ERROR event with this code, after which a watch ends. */
  | { readonly type: 'error-event'; readonly code: number }
  /** Accepts the request and never responds. */
  | { readonly type: 'hang' }
  /** Cuts the connection after this many bytes of the response. */
  | { readonly type: 'cut'; readonly after?: number }
  /** Ends a watch as soon as it has begun. */
  | { readonly type: 'end' }
  | { readonly type: 'slow'; readonly milliseconds: number }
  /** Responds with this text. */
  | { readonly type: 'text'; readonly text: string };

export interface ClusterFaultRule {
  readonly verb?: 'list' | 'watch' | 'lease';
  readonly path?: string;
  /** Number of matching requests that pass before the fault begins. */
  readonly after?: number;
  /** Number of affected requests. @default all */
  readonly times?: number;
  readonly fault: ClusterFault;
}

export class ClusterFaults {
  private rules: { readonly rule: ClusterFaultRule; seen: number }[] = [];

  add(rule: ClusterFaultRule): void {
    this.rules.push({ rule, seen: 0 });
  }

  clear(): void {
    this.rules = [];
  }

  take(verb: string, path: string): ClusterFault | undefined {
    for (const entry of this.rules) {
      const { rule } = entry;
      if (rule.verb !== undefined && rule.verb !== verb) continue;
      if (rule.path !== undefined && rule.path !== path) continue;
      const { after = 0, times = Infinity } = rule;
      const index = entry.seen++;
      if (index >= after && index < after + times) return rule.fault;
    }
    return undefined;
  }
}
