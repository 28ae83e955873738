/** The content of a Lease, fully validated: anyone may have edited it. */
export interface LeaseRecord {
  /** Identity of the holder; '' after a release. */
  readonly holder: string;
  /** Milliseconds; undefined if missing or invalid. */
  readonly duration: number | undefined;
  /** The original text. Compared, never parsed: another machine's clock may be hours off. */
  readonly acquireTime: string;
  readonly renewTime: string;
  readonly transitions: number;
}

/** A Lease as stored in the API server. */
export interface StoredLease {
  readonly record: LeaseRecord;
  readonly resourceVersion: string;
}

const MAX_TRANSITIONS = 2 ** 31 - 2;

/** Parses a Lease's `spec`. */
export function readRecord(spec: Readonly<Record<string, unknown>> | undefined): LeaseRecord {
  const { holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions } = spec ?? {};
  const seconds = typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds : 0;
  const transitions = typeof leaseTransitions === 'number' ? leaseTransitions : 0;
  return {
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    duration: seconds > 0 ? seconds * 1_000 : undefined,
    acquireTime: timeText(acquireTime),
    renewTime: timeText(renewTime),
    // One more must still fit into the API's 32 bits, or no replica could ever write the Lease again.
    transitions: transitions >= 0 && transitions <= MAX_TRANSITIONS ? Math.floor(transitions) : 0,
  };
}

/** Whether the Lease was not renewed between two checks; labels and other fields do not count. */
export function sameRecord(one: LeaseRecord, other: LeaseRecord): boolean {
  return (
    one.holder === other.holder &&
    one.duration === other.duration &&
    one.acquireTime === other.acquireTime &&
    one.renewTime === other.renewTime &&
    one.transitions === other.transitions
  );
}

/** The client returns micro-times as text in some versions and as dates in others. */
function timeText(value: unknown): string {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '' : value.toISOString();
  return typeof value === 'string' ? value : '';
}
