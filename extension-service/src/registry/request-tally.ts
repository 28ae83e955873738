import type { RegistryRequest } from './request-log.js';

/** Requests to registries since the previous report. Plain data: it is sent by the background worker. */
export interface RequestReport {
  readonly counts: readonly {
    readonly registry: string;
    readonly action: string;
    readonly code: string;
    readonly count: number;
  }[];
  /** Remaining pulls in the registries' latest reports. */
  readonly remaining: readonly { readonly registry: string; readonly pulls: number }[];
  /** Requests that registries counted as pulls. */
  readonly pulls: readonly { readonly registry: string; readonly count: number }[];
}

/** Sums up requests; `host` of each is already a bounded label. */
export class RequestTally {
  private readonly counts = new Map<string, { registry: string; action: string; code: string; count: number }>();
  private readonly remaining = new Map<string, number>();
  private readonly pulls = new Map<string, number>();

  add({ host: registry, action, code, remaining, isPull = false }: RegistryRequest): void {
    const key = `${registry} ${action} ${code}`;
    const known = this.counts.get(key);
    if (known === undefined) this.counts.set(key, { registry, action, code, count: 1 });
    else known.count += 1;
    if (isPull) this.pulls.set(registry, (this.pulls.get(registry) ?? 0) + 1);
    // For registries that share a label, the number of one would be mistaken for another's.
    if (remaining !== undefined && registry !== 'other') this.remaining.set(registry, remaining);
  }

  /** The requests added since the last call; undefined for none. */
  take(): RequestReport | undefined {
    if (this.counts.size === 0) return undefined;
    const counts = [...this.counts.values()];
    const remaining = [...this.remaining].map(([registry, pulls]) => ({ registry, pulls }));
    const pulls = [...this.pulls].map(([registry, count]) => ({ registry, count }));
    this.counts.clear();
    this.remaining.clear();
    this.pulls.clear();
    return { counts, remaining, pulls };
  }
}
