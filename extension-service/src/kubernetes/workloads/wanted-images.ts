import type { MirrorJob, PullContext } from '../../core/decide/mirror-job.js';
import type { ObjectReference } from '../object-reference.js';
import { PullContexts, samePull } from './pull-contexts.js';

/** An image that something in the cluster uses. */
export interface WantedImage {
  /** Without a pull context, which belongs to the users. */
  readonly job: MirrorJob;
  readonly users: ReadonlySet<WorkloadObject>;
  /** A user names the source itself, or a location that contains only mirrors. */
  readonly certain: boolean;
  /** The different ways in which its users may pull it. */
  pulls(): readonly PullContext[];
}

export interface WorkloadObject {
  readonly reference: ObjectReference;
  /** The uid of its controller. */
  readonly owner: string | undefined;
}

/** The images that an object needs. */
export interface ObjectUses {
  readonly jobs: readonly MirrorJob[];
  /** Keys of the images that it names only in a location with other images. */
  readonly uncertain: ReadonlySet<string>;
}

/** The images that an object added. */
export interface AddResult {
  /** Keys of images that nothing used before. */
  readonly fresh: readonly string[];
  /** Keys of images that were already used, but may now be pulled with other credentials. */
  readonly otherPullKeys: readonly string[];
}

interface Entry extends WorkloadObject {
  /** The list in which it was seen last. */
  generation: number;
  readonly pull: PullContext | undefined;
  readonly images: readonly Image[];
  readonly uncertain: ReadonlySet<string>;
}

class Image implements WantedImage {
  readonly users = new Set<WorkloadObject>();
  /** Number of users with each. */
  private readonly contexts = new Map<PullContext, number>();
  private certainUsers = 0;

  constructor(readonly job: MirrorJob) {}

  get certain(): boolean {
    return this.certainUsers > 0;
  }

  pulls(): readonly PullContext[] {
    return [...this.contexts.keys()];
  }

  /** @returns whether it may now be pulled with other credentials */
  add(entry: Entry): boolean {
    this.users.add(entry);
    if (!entry.uncertain.has(this.job.key)) this.certainUsers += 1;
    if (entry.pull === undefined) return false;
    const before = this.contexts.get(entry.pull) ?? 0;
    this.contexts.set(entry.pull, before + 1);
    return before === 0;
  }

  remove(entry: Entry): void {
    this.users.delete(entry);
    if (!entry.uncertain.has(this.job.key)) this.certainUsers -= 1;
    if (entry.pull === undefined) return;
    const left = (this.contexts.get(entry.pull) ?? 0) - 1;
    if (left > 0) this.contexts.set(entry.pull, left);
    else this.contexts.delete(entry.pull);
  }
}

const UNCHANGED: AddResult = { fresh: [], otherPullKeys: [] };

/**
 * Which images the cluster's objects use, and which objects use an image. Only names are kept: a hundred thousand Pods
 * take some tens of megabytes.
 */
export class WantedImages {
  private readonly images = new Map<string, Image>();
  private readonly objects = new Map<string, Entry>();
  private readonly contexts = new PullContexts();

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

  /** The images of an object; all have the pull context of that object. */
  put(reference: ObjectReference, owner: string | undefined, uses: ObjectUses, generation: number): AddResult {
    const { jobs, uncertain } = uses;
    const before = this.objects.get(reference.uid);
    const context = jobs[0]?.pull;
    if (before !== undefined && sameImages(before, uses) && samePull(before.pull, context)) {
      before.generation = generation;
      return UNCHANGED;
    }
    const pull = context && this.contexts.hold(context);
    const fresh: string[] = [];
    const otherPullKeys: string[] = [];
    const images = jobs.map((job) => {
      const known = this.images.get(job.key);
      if (known === undefined) fresh.push(job.key);
      return known ?? this.create(job);
    });
    const entry: Entry = { reference, owner, pull, generation, images, uncertain };
    for (const image of images) {
      if (image.add(entry) && !fresh.includes(image.job.key)) otherPullKeys.push(image.job.key);
    }
    if (before !== undefined) this.release(before);
    this.objects.set(reference.uid, entry);
    return { fresh, otherPullKeys };
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
      if (entry.reference.kind === kind && entry.generation < generation) this.remove(uid);
    }
  }

  /**
   * The objects that users look at: the topmost known controllers of the image's users, once each, and at most `most`
   * of them.
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
    // No object in a cluster can own itself, but objects come from outside.
    for (let depth = 0; depth < 5; depth++) {
      const owner = top.owner === undefined ? undefined : this.objects.get(top.owner);
      if (owner === undefined) return top;
      top = owner;
    }
    return top;
  }

  private create({ pull, ...job }: MirrorJob): Image {
    void pull;
    const image = new Image(job);
    this.images.set(job.key, image);
    return image;
  }

  private release(entry: Entry): void {
    for (const image of entry.images) {
      image.remove(entry);
      if (image.users.size === 0) this.images.delete(image.job.key);
    }
    if (entry.pull !== undefined) this.contexts.release(entry.pull);
  }
}

function sameImages(entry: Entry, { jobs, uncertain }: ObjectUses): boolean {
  const { images } = entry;
  if (images.length !== jobs.length || entry.uncertain.size !== uncertain.size) return false;
  return images.every(
    ({ job: { key } }, index) => key === jobs[index]?.key && entry.uncertain.has(key) === uncertain.has(key),
  );
}
