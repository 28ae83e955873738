import { usageKey } from '../../core/gc/usage-record.js';
import type { MirrorJob } from '../../core/decide/mirror-job.js';
import { podContainers } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import type { Rules } from '../../core/decide/rules.js';
import { InvalidReferenceError, parseReference } from '../../core/image/reference.js';
import type { Reference } from '../../core/image/reference.js';

/** Last uses in milliseconds since the epoch: by target, then by the key of a usage record. */
export type LastUses = ReadonlyMap<string, ReadonlyMap<string, number>>;

interface ImageUser {
  readonly kind: string;
  /** The list in which it was last seen. */
  readonly generation: number;
  readonly keys: readonly string[];
}

/**
 * The images of targets that objects of the cluster use, or have used since the last report. Unlike the images to
 * mirror, these include images of every namespace, of opted-out Pods and of manually written names.
 */
export class UsedImages {
  private readonly users = new Map<string, ImageUser>();
  private readonly counts = new Map<string, number>();
  /** The time when the last user of an image disappeared. */
  private readonly ended = new Map<string, number>();

  constructor(
    private readonly now: () => number,
    /** An image has got its first user. */
    private readonly onFirstUse: (target: string, key: string) => void,
  ) {}

  put(uid: string, kind: string, keys: readonly string[], generation: number): void {
    const distinct = [...new Set(keys)];
    const added = distinct.filter((key) => !this.counts.has(key));
    for (const key of distinct) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    this.remove(uid);
    if (distinct.length > 0) this.users.set(uid, { kind, generation, keys: distinct });
    for (const key of added) this.onFirstUse(...split(key));
  }

  remove(uid: string): void {
    for (const key of this.users.get(uid)?.keys ?? []) {
      const left = (this.counts.get(key) ?? 0) - 1;
      if (left > 0) this.counts.set(key, left);
      else {
        this.counts.delete(key);
        this.ended.set(key, this.now());
      }
    }
    this.users.delete(uid);
  }

  /** Removes the users of a kind that were not in the list of this generation. */
  prune(kind: string, generation: number): void {
    for (const [uid, user] of this.users) if (user.kind === kind && user.generation < generation) this.remove(uid);
  }

  /** The objects will now be listed again. */
  clear(): void {
    for (const uid of [...this.users.keys()]) this.remove(uid);
  }

  /** Images in use now, and those whose use has ended since the last report. */
  report(): LastUses {
    const now = this.now();
    const uses = new Map<string, Map<string, number>>();
    const add = (key: string, time: number): void => {
      const [target, image] = split(key);
      const known = uses.get(target) ?? new Map<string, number>();
      uses.set(target, known.set(image, time));
    };
    for (const [key, time] of this.ended) add(key, time);
    for (const key of this.counts.keys()) add(key, now);
    return uses;
  }

  /** A report was written: uses that ended before it need not be reported again. */
  reported(report: LastUses): void {
    for (const [key, time] of this.ended) {
      const [target, image] = split(key);
      if ((report.get(target)?.get(image) ?? 0) >= time) this.ended.delete(key);
    }
  }
}

/** The images in targets that a Pod keeps: the mirrors of its images, and the target names that it uses itself. */
export function imagesUsedBy(rules: Rules, pod: JsonObject, jobs: readonly MirrorJob[]): readonly string[] {
  const planned = jobs.flatMap(({ target, reference: { repository, published, digest } }) => [
    join(target, usageKey(repository, published)),
    ...(digest === undefined ? [] : [join(target, usageKey(repository, digest))]),
  ]);
  const named = podContainers(pod).flatMap(({ image }) => {
    const reference = parsed(image);
    const target = reference && rules.origins.find(reference);
    if (reference === undefined || target === undefined) return [];
    const { repository, tag, digest } = reference;
    return [tag, digest].flatMap((name) => (name === undefined ? [] : [join(target.name, usageKey(repository, name))]));
  });
  return [...planned, ...named];
}

function parsed(image: string): Reference | undefined {
  try {
    return parseReference(image);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}

/** Names of targets may contain spaces, keys never do. */
function join(target: string, key: string): string {
  return `${target} ${key}`;
}

function split(key: string): [string, string] {
  const space = key.lastIndexOf(' ');
  return [key.slice(0, space), key.slice(space + 1)];
}
