import { utcSeconds } from '../utc-seconds.js';

/** Maximum size of the text in bytes: a ConfigMap holds 1 MiB, including its metadata. */
export const MAX_TEXT_BYTES = 1_000_000;

/** A line: a digest with any algorithm of the OCI image specification, and a time. */
const LINE = /^([a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,128}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$/;

/** When each digest was first seen, in milliseconds since the epoch. */
export type FirstSeen = ReadonlyMap<string, number>;

/** Parses lines of `DIGEST TIME`; other lines are ignored, and for a repeated digest the earlier time counts. */
export function readFirstSeen(text: string): Map<string, number> {
  const seen = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, digest, time] = LINE.exec(line.trim()) ?? [];
    const at = Date.parse(time ?? '');
    if (digest === undefined || Number.isNaN(at)) continue;
    seen.set(digest, Math.min(seen.get(digest) ?? Infinity, at));
  }
  return seen;
}

/** The newest digests that fit into `most` bytes as text, the oldest first; times in whole seconds, rounded up. */
export function writeFirstSeen(seen: FirstSeen, maxBytes = MAX_TEXT_BYTES): string {
  const newest = [...seen].sort(([a, at], [b, bt]) => bt - at || (a < b ? -1 : 1));
  const lines: string[] = [];
  let size = 0;
  for (const [digest, time] of newest) {
    const line = `${digest} ${utcSeconds(Math.ceil(time / 1_000) * 1_000)}\n`;
    size += line.length;
    if (size > maxBytes) break;
    lines.push(line);
  }
  return lines.reverse().join('');
}

/**
 * Merges both: for each digest the earlier time, and none later than now, because a wrong clock may have written future
 * times.
 */
export function mergeFirstSeen(one: FirstSeen, other: FirstSeen, now: number): Map<string, number> {
  const merged = new Map<string, number>();
  for (const [digest, time] of [...one, ...other]) {
    merged.set(digest, Math.min(merged.get(digest) ?? Infinity, time, now));
  }
  return merged;
}
