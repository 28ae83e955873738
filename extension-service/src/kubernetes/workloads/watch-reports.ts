/** The leader's view of the cluster; other replicas report nothing. */
export interface WatchReport {
  /** By kind of object: whether its list is complete and followed. */
  readonly up: Readonly<Record<string, boolean>>;
  /** By kind: lists and watches that failed and were restarted since the last report. */
  readonly restarts: Readonly<Record<string, number>>;
  /** By target: tags that had moved at their source since the last report. */
  readonly movedTags: Readonly<Record<string, number>>;
  readonly images: number;
  /** Images in a target whose source is unknown. */
  readonly unknown: number;
  /** By target: images whose source existed and is now missing. */
  readonly vanished: Readonly<Record<string, number>>;
}

/** Reports changes, if any. */
export class WatchReports {
  private restarts: Record<string, number> = {};
  private movedTags: Record<string, number> = {};
  private last = '';

  constructor(private readonly send: (report: WatchReport) => void) {}

  restarted(kind: string): void {
    this.restarts[kind] = (this.restarts[kind] ?? 0) + 1;
  }

  recordMovedTag(target: string): void {
    this.movedTags[target] = (this.movedTags[target] ?? 0) + 1;
  }

  report(seen: Omit<WatchReport, 'restarts' | 'movedTags'>): void {
    const { restarts, movedTags: moved } = this;
    const text = JSON.stringify(seen);
    if (text === this.last && Object.keys({ ...restarts, ...moved }).length === 0) return;
    this.last = text;
    this.restarts = {};
    this.movedTags = {};
    this.send({ ...seen, restarts, movedTags: moved });
  }
}
