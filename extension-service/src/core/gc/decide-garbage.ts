import { DIGEST_TAG } from '../image/digest-tag.js';
import { MAX_RECORD_AGE_MS, usageKey, lastWriteTime, recentWriters } from './usage-record.js';
import type { UsageRecord } from './usage-record.js';

/** A manifest of a repository that has at least one tag. */
export interface StoredManifest {
  readonly digest: string;
  readonly tags: readonly string[];
  /** Digests that an index refers to. */
  readonly children: readonly string[];
  /** Maximum size in bytes of the blobs that it refers to: layers may be shared. */
  readonly bytes: number;
}

export interface StoredRepository {
  readonly repository: string;
  readonly manifests: readonly StoredManifest[];
}

export interface GarbageDecision extends StoredManifest {
  readonly repository: string;
  readonly action: 'delete' | 'keep';
  /** For messages; continues the image's name. */
  readonly reason: string;
  /** Children of a deleted index that no kept manifest refers to; those of several indexes belong to the last of them. */
  readonly orphans: readonly string[];
}

export interface GarbageSettings {
  /** Minimum time in milliseconds without any use. */
  readonly after: number;
  /** Clusters that must have a fresh record. */
  readonly clusters: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Clocks may differ by this many milliseconds in either direction without an early deletion. */
export const CLOCK_MARGIN_MS = 2 * 3_600_000;
/** A record may be this many milliseconds ahead of this machine's clock. */
const MAX_CLOCK_SKEW_MS = 600_000;

/**
 * Reasons why nothing may be deleted; none if gc may continue. A cluster without a record may use anything, so each
 * listed cluster must have a fresh record. A record must cover `after`, since an emptied one has lost uses. The record
 * of a cluster that was removed from the list and no longer writes only protects the images that it lists.
 *
 * @param records by cluster; undefined for an unreadable record
 */
export function refusalsOf(
  records: ReadonlyMap<string, UsageRecord | undefined>,
  { after, clusters, now }: GarbageSettings,
): readonly string[] {
  if (clusters.length === 0) return ['gc.clusters names no cluster'];
  const absent = clusters.flatMap((cluster) => {
    const record = records.get(cluster);
    if (record === undefined) {
      const advice = 'set gc.cluster there and wait for its first record, or remove it from gc.clusters';
      return records.has(cluster) ? [] : [`cluster ${cluster} has no record: ${advice}`];
    }
    const age = now - lastWriteTime(record);
    if (age <= MAX_RECORD_AGE_MS) return [];
    return [
      `the record of cluster ${cluster} is ${hours(age)} old: restore the cluster, or remove it from gc.clusters`,
    ];
  });
  const all = [...records].flatMap(([cluster, record]) => {
    if (record === undefined) return [`the record of cluster ${cluster} cannot be read`];
    const ahead = lastWriteTime(record) - now;
    // A cluster that still writes is active, even if it is not listed.
    const isAlive = clusters.includes(cluster) || -ahead <= MAX_RECORD_AGE_MS;
    const covered = now - record.since;
    const writers = recentWriters(record, now);
    return [
      ...(isAlive && record.uses.size === 0 ? [`the record of cluster ${cluster} names no image: it was emptied`] : []),
      ...(isAlive && record.uses.size > 0 && covered < after
        ? [
            `the record of cluster ${cluster} covers ${hours(covered)}: gc waits until it covers gc.after (${hours(after)})`,
          ]
        : []),
      ...(record.cluster === cluster ? [] : [`the record of cluster ${cluster} is that of ${record.cluster}`]),
      ...(ahead > MAX_CLOCK_SKEW_MS
        ? [`the clock of cluster ${cluster} is ${hours(ahead)} ahead of the clock here, or one of both is wrong`]
        : []),
      ...(writers > 1
        ? [`${writers} installations write the record of cluster ${cluster}: give each cluster its own gc.cluster`]
        : []),
    ];
  });
  return [...absent, ...all];
}

/**
 * Decides about each manifest of a repository. Deletes a manifest only if clusters have recorded its tags, and all its
 * uses are older than `after`: by tag, by digest, and of each child. Tags that no cluster recorded belong to someone
 * else.
 */
export function decideGarbage(
  { repository, manifests }: StoredRepository,
  records: readonly UsageRecord[],
  { after, now }: GarbageSettings,
): readonly GarbageDecision[] {
  const lastUse = (reference: string): LastUse | undefined => newest(records, usageKey(repository, reference));
  const decisions = manifests.map((manifest): GarbageDecision => {
    const own = manifest.tags.filter((tag) => !DIGEST_TAG.test(tag));
    const decision = { ...manifest, repository, orphans: [] };
    const keep = (reason: string): GarbageDecision => ({ ...decision, action: 'keep', reason });
    if (own.length === 0) return keep('it belongs to another manifest');
    const unknown = own.find((tag) => lastUse(tag) === undefined);
    if (unknown !== undefined) return keep(`no cluster has recorded the tag ${unknown}`);
    const uses = [...own, manifest.digest, ...manifest.children].flatMap((reference) => lastUse(reference) ?? []);
    const last = uses.reduce((one, other) => (other.time > one.time ? other : one));
    const age = now - last.time;
    if (age < after + CLOCK_MARGIN_MS) return keep(`cluster ${last.cluster} used it ${hours(age)} ago`);
    return { ...decision, action: 'delete', reason: `last used ${hours(age)} ago, by cluster ${last.cluster}` };
  });
  return withReferrers(decisions);
}

/**
 * Signatures under tags that are derived from a digest are deleted with the last manifest of that digest, and orphans
 * with their index.
 */
function withReferrers(decisions: readonly GarbageDecision[]): readonly GarbageDecision[] {
  const named = (action: GarbageDecision['action']): ReadonlySet<string> =>
    new Set(
      decisions
        .filter((one) => one.action === action && !isReferrerTag(one))
        .flatMap(({ digest, children }) => [digest, ...children].map(subjectKey)),
    );
  const [kept, deleted] = [named('keep'), named('delete')];
  const companions = decisions.map((one): GarbageDecision => {
    if (!isReferrerTag(one)) return one;
    const subjects = one.tags.map(subjectOf);
    const isGone = subjects.every((subject) => deleted.has(subject) && !kept.has(subject));
    return isGone ? { ...one, action: 'delete', reason: `belongs to ${subjects.join(', ')}` } : one;
  });
  const staying = new Set(
    companions.filter(({ action }) => action === 'keep').flatMap(({ digest, children }) => [digest, ...children]),
  );
  const tops = new Set(companions.map(({ digest }) => digest));
  const lastIndexes = new Map<string, GarbageDecision>();
  for (const one of companions)
    if (one.action === 'delete') for (const child of one.children) lastIndexes.set(child, one);
  return companions.map((one) => ({
    ...one,
    orphans: [...new Set(one.children)].filter(
      (child) => lastIndexes.get(child) === one && !staying.has(child) && !tops.has(child),
    ),
  }));
}

function isReferrerTag({ tags }: StoredManifest): boolean {
  return tags.every((tag) => DIGEST_TAG.test(tag));
}

/** Tags hold 64 digits of a digest, of whatever algorithm. */
function subjectKey(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 65);
}

function subjectOf(tag: string): string {
  return tag.replace(/\..*$/, '').replace('-', ':');
}

interface LastUse {
  readonly cluster: string;
  readonly time: number;
}

function newest(records: readonly UsageRecord[], key: string): LastUse | undefined {
  let found: LastUse | undefined;
  for (const { cluster, uses } of records) {
    const time = uses.get(key);
    if (time !== undefined && (found === undefined || time > found.time)) found = { cluster, time };
  }
  return found;
}

function hours(milliseconds: number): string {
  const value = Math.round(milliseconds / 3_600_000);
  return Math.abs(value) < 72 ? `${value} h` : `${Math.round(value / 24)} days`;
}
