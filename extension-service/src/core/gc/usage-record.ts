import { JsonBoundsError, parseBoundedJson } from '../json-bounds.js';

/**
 * The time of the last use of each image of a target in one cluster. That cluster writes it; every cluster that deletes
 * images reads it. Times are milliseconds since the epoch, from the writer's clock.
 */
export interface UsageRecord {
  readonly cluster: string;
  /** Uses before this time may be missing: the record was then created, or found empty. */
  readonly since: number;
  /** The time of the last write by each installation that wrote recently, by the uid of its Lease. */
  readonly writers: ReadonlyMap<string, number>;
  /** Last uses by {@link usageKey}. */
  readonly uses: ReadonlyMap<string, number>;
}

/** The repository of a target in which each cluster has one tag, which moves; no source can be mirrored there. */
export const USAGE_REPOSITORY = 'image-swapper-usage';

/** An unreadable record: nothing may be deleted then. */
export class UsageRecordError extends Error {
  override readonly name = 'UsageRecordError';
}

/** A writer counts for this many milliseconds after its last write; a record must be younger than that. */
export const MAX_RECORD_AGE_MS = 24 * 3_600_000;
/** A last use is dropped from a record after this many milliseconds; gc then never deletes the image. */
const MAX_USE_AGE_MS = 800 * 24 * 3_600_000;
const VERSION = 1;

/** An image in a record: `repository:tag`, or `repository@digest`. */
export function usageKey(repository: string, reference: string): string {
  return `${repository}${reference.includes(':') ? '@' : ':'}${reference}`;
}

/** The time of the last write. */
export function lastWriteTime({ writers }: UsageRecord): number {
  return Math.max(0, ...writers.values());
}

/** The number of installations that wrote the record within a day. More than one means that clusters share a name. */
export function recentWriters({ writers }: UsageRecord, now: number): number {
  return [...writers.values()].filter((time) => now - time <= MAX_RECORD_AGE_MS).length;
}

export interface Usage {
  readonly cluster: string;
  /** The uid of the installation's Lease. */
  readonly writer: string;
  readonly now: number;
  readonly uses: ReadonlyMap<string, number>;
}

/** The record with newer uses. Nothing in it is lost: two installations with one name both count. */
export function updatedRecord(before: UsageRecord | undefined, { cluster, writer, now, uses }: Usage): UsageRecord {
  const merged = new Map<string, number>();
  for (const [key, time] of before?.uses ?? []) if (now - time < MAX_USE_AGE_MS) merged.set(key, time);
  for (const [key, time] of uses) merged.set(key, Math.max(time, merged.get(key) ?? 0));
  const writers = [...(before?.writers ?? [])].filter(([, time]) => now - time < MAX_RECORD_AGE_MS);
  const since = before === undefined || before.uses.size === 0 ? now : before.since;
  return { cluster, since, writers: new Map([...writers, [writer, now]]), uses: merged };
}

/** As JSON; times in seconds. */
export function formatUsageRecord({ cluster, since, writers, uses }: UsageRecord): string {
  const seconds = (times: ReadonlyMap<string, number>): Record<string, number> =>
    Object.fromEntries([...times].sort().map(([key, time]) => [key, Math.floor(time / 1_000)]));
  return JSON.stringify({
    version: VERSION,
    cluster,
    since: Math.ceil(since / 1_000),
    writers: seconds(writers),
    uses: seconds(uses),
  });
}

/** @throws UsageRecordError */
export function parseUsageRecord(text: string): UsageRecord {
  let json: unknown;
  try {
    json = parseBoundedJson(text, text.length, 4);
  } catch (error) {
    if (error instanceof JsonBoundsError || error instanceof SyntaxError)
      throw new UsageRecordError('the record is not JSON');
    throw error;
  }
  const { version, cluster, since, writers, uses } = (json ?? {}) as Record<string, unknown>;
  if (version !== VERSION)
    throw new UsageRecordError(`the record has version ${String(version)}: update image-swapper`);
  if (typeof cluster !== 'string') throw new UsageRecordError('the record names no cluster');
  if (!isTime(since)) throw new UsageRecordError('the record does not say since when it goes');
  return { cluster, since: since * 1_000, writers: times(writers, 'writers'), uses: times(uses, 'uses') };
}

function times(value: unknown, name: string): ReadonlyMap<string, number> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageRecordError(`the record has no ${name}`);
  return new Map(
    Object.entries(value).map(([key, time]) => {
      if (!isTime(time)) throw new UsageRecordError(`the record's ${name} has a time that is not a number of seconds`);
      return [key, time * 1_000];
    }),
  );
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
