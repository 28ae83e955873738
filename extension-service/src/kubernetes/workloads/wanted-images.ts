import type { MirrorJob, PullContext } from '../../mirror/job.js';
import type { ObjectReference } from '../object-reference.js';

/** An image that something in the cluster uses. */
export interface WantedImage {
  readonly job: MirrorJob;
  /** The different ways in which its users may pull it, a few of them. */
  readonly pulls: readonly PullContext[];
  readonly users: ReadonlySet<WorkloadObject>;
}

export interface WorkloadObject {
  readonly reference: ObjectReference;
  /** The uid of its controller. */
  readonly owner: string | undefined;
}

interface Image {
  job: MirrorJob;
  readonly pulls: PullContext[];
  readonly users: Set<WorkloadObject>;
}

interface Entry extends WorkloadObject {
  /** The list in which it was seen last. */
  generation: number;
  readonly kind: string;
  readonly images: readonly Image[];
}

/** Enough to find one that works; each costs a try at the source. */
const MOST_PULLS = 5;

/**
 * Which images the cluster's objects use, and which objects use an image. Of the objects nothing is kept but names:
 * a hundred thousand Pods take some tens of megabytes.
 */
export class WantedImages {
  private readonly images = new Map<string, Image>();
  private readonly objects = new Map<string, Entry>();

  get imageCount(): number {
    return this.images.size;
  }

  get objectCount(): number {
    return this.objects.size;
  }

  get(key: string): WantedImage | undefined {
    return this.images.get(key);
  }

  has(uid: string): boolean {
    return this.objects.has(uid);
  }

  all(): Iterable<[string, WantedImage]> {
    return this.images;
  }

  /** @returns the keys of images that nothing used before */
  put(
    reference: ObjectReference,
    owner: string | undefined,
    jobs: readonly MirrorJob[],
    generation: number,
  ): readonly string[] {
    const before = this.objects.get(reference.uid);
    if (before !== undefined && sameImages(before, jobs)) {
      before.generation = generation;
      return [];
    }
    const fresh = jobs.filter(({ key }) => !this.images.has(key)).map(({ key }) => key);
    const images = jobs.map((job) => this.image(job));
    const entry: Entry = { reference, owner, kind: reference.kind, generation, images };
    for (const image of images) image.users.add(entry);
    if (before !== undefined) this.release(before);
    this.objects.set(reference.uid, entry);
    return fresh;
  }

  remove(uid: string): void {
    const entry = this.objects.get(uid);
    if (entry === undefined) return;
    this.objects.delete(uid);
    this.release(entry);
  }

  /** Removes the objects of a kind that were not in the list of this generation. */
  prune(kind: string, generation: number): void {
    for (const [uid, entry] of this.objects) {
      if (entry.kind === kind && entry.generation < generation) this.remove(uid);
    }
  }

  /**
   * The objects that people look at: the topmost controllers of the image's users that are known here, once each, and
   * at most `most` of them.
   */
  topUsers(key: string, most: number): readonly ObjectReference[] {
    const top = new Map<string, ObjectReference>();
    for (const user of this.images.get(key)?.users ?? []) {
      const { reference } = this.topOf(user);
      top.set(reference.uid, reference);
      if (top.size >= most) break;
    }
    return [...top.values()];
  }

  private topOf(object: WorkloadObject): WorkloadObject {
    let top = object;
    // Nobody can own itself in a cluster, but objects come from outside.
    for (let depth = 0; depth < 5; depth++) {
      const owner = top.owner === undefined ? undefined : this.objects.get(top.owner);
      if (owner === undefined) return top;
      top = owner;
    }
    return top;
  }

  private image(job: MirrorJob): Image {
    let image = this.images.get(job.key);
    if (image === undefined) {
      image = { job, pulls: [], users: new Set() };
      this.images.set(job.key, image);
    }
    const { pull } = job;
    if (pull !== undefined && image.pulls.length < MOST_PULLS && !image.pulls.some((known) => samePull(known, pull))) {
      image.pulls.push(pull);
    }
    return image;
  }

  private release(entry: Entry): void {
    for (const image of entry.images) {
      image.users.delete(entry);
      if (image.users.size === 0) this.images.delete(image.job.key);
    }
  }
}

function sameImages({ images }: Entry, jobs: readonly MirrorJob[]): boolean {
  return (
    images.length === jobs.length &&
    images.every(({ job, pulls }, index) => {
      const other = jobs[index];
      return (
        other?.key === job.key &&
        (other.pull === undefined || pulls.length >= MOST_PULLS || pulls.some((pull) => samePull(pull, other.pull)))
      );
    })
  );
}

function samePull(a: PullContext, b: PullContext | undefined): boolean {
  return (
    b !== undefined &&
    a.namespace === b.namespace &&
    a.serviceAccount === b.serviceAccount &&
    a.secretNames.length === b.secretNames.length &&
    a.secretNames.every((name, index) => name === b.secretNames[index])
  );
}
