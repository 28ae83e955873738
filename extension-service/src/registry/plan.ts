import { referenceName } from '../core/image/reference.js';
import { formatPlatform } from '../core/image/platform.js';
import { DEFAULT_COPY_LIMITS, type CopyOptions } from './copy-types.js';
import { RegistryError } from './errors.js';
import { isBlobEntry, isForeign, parseManifest } from './manifest.js';
import type { RawManifest } from './manifest.js';
import { findRoot } from './presence.js';
import { namedPlatforms, selectPlatforms } from './platforms.js';
import type { Descriptor, RequestContext } from './types.js';

/** The work of a copy; layers that the target already has are included, so it may be less. */
export interface CopyPlan {
  /** The target has the image under its name: nothing would be sent. */
  readonly present: boolean;
  /** Digest that the source's reference names. */
  readonly digest: string;
  readonly platforms: readonly string[];
  /** Manifests that would be put, by digest, with their bytes. */
  readonly manifests: ReadonlyMap<string, number>;
  /** Blobs by digest, with their size in bytes. */
  readonly blobs: ReadonlyMap<string, number>;
  /** Manifests of single platforms that the copy would read at the source: Docker Hub counts each as a pull. */
  readonly pulls: number;
}

const MAX_MANIFESTS = DEFAULT_COPY_LIMITS.manifests;

type PlanOptions = Pick<CopyOptions, 'source' | 'target' | 'platforms' | 'presence' | 'signal' | 'admit'> & {
  /** Whether an image (`host/repository@digest`) needs no check with `presence: due`. */
  readonly isComplete?: (image: string) => boolean;
};

/**
 * Reads the manifests of an image and sends nothing. Docker Hub counts the manifest of each platform as a pull, here as
 * in the copy.
 *
 * @throws RegistryError as a copy would
 */
export async function planCopy(options: PlanOptions): Promise<CopyPlan> {
  const { source, target, platforms = 'all', presence = 'name' } = options;
  const plan = new Plan(options);
  const { repository, digest } = source.reference;
  const top = await source.client.getManifest(repository, referenceName(source.reference), plan.context);
  const wanted = digest === undefined && platforms !== 'all' ? filtered(options, top, platforms) : top;
  const root = await findRoot(target, wanted.digest, plan.context);
  if (root.state !== 'published') {
    await options.admit?.(top.digest, async () => namedPlatforms(parseManifest(wanted)));
  }
  if (root.state === 'absent') await plan.add(wanted);
  else if (presence !== 'name' && !(presence === 'due' && isComplete(options, wanted.digest)))
    await plan.look(wanted.digest);
  if (root.state === 'untagged') plan.manifests.set(wanted.digest, wanted.bytes.length);
  return plan.result(top.digest);
}

/** Plans the repair of an image that the target has under its name. */
export async function planRepair(options: PlanOptions, digest: string): Promise<CopyPlan> {
  const plan = new Plan(options);
  if (!(await plan.look(digest))) return planCopy({ ...options, presence: 'name' });
  return plan.result(digest);
}

class Plan {
  readonly manifests = new Map<string, number>();
  readonly #blobs = new Map<string, number>();
  readonly #platforms = new Set<string>();
  /** Digests of platforms' manifests that are read at the source. */
  readonly #pulls = new Set<string>();
  readonly context: RequestContext;

  constructor(private readonly options: PlanOptions) {
    const { signal } = options;
    this.context = signal === undefined ? {} : { signal };
  }

  /** Adds a manifest that the target does not have, with everything under it. */
  async add(manifest: RawManifest): Promise<void> {
    if (this.manifests.has(manifest.digest)) return;
    if (this.manifests.size >= MAX_MANIFESTS) throw invalid(this.options, `has more than ${MAX_MANIFESTS} manifests`);
    this.manifests.set(manifest.digest, manifest.bytes.length);
    const parsed = parseManifest(manifest);
    if (parsed.kind === 'image') {
      this.#pulls.add(manifest.digest);
      return this.#addBlobs(parsed.blobs);
    }
    this.#addBlobs(parsed.children.filter(isBlobEntry));
    for (const child of parsed.children.filter((child) => !isBlobEntry(child))) await this.#child(child);
  }

  /** Adds what the target lacks below a manifest that it has. @returns false if the target does not have the manifest */
  async look(digest: string): Promise<boolean> {
    const { client, reference } = this.options.target;
    const manifest = await absentAsUndefined(client.getManifest(reference.repository, digest, this.context));
    if (manifest === undefined) return false;
    const before = this.manifests.size + this.#blobs.size;
    const parsed = parseManifest(manifest);
    const blobs = parsed.kind === 'image' ? parsed.blobs : parsed.children.filter(isBlobEntry);
    for (const blob of blobs)
      if (!isForeign(blob) && !(await this.#hasBlob(blob))) this.#blobs.set(blob.digest, blob.size);
    const children = parsed.kind === 'image' ? [] : parsed.children.filter((child) => !isBlobEntry(child));
    for (const child of children) if (!(await this.look(child.digest))) await this.#child(child, true);
    // The copy puts a manifest again if something below it was missing.
    if (this.manifests.size + this.#blobs.size > before) this.manifests.set(digest, manifest.bytes.length);
    return true;
  }

  result(digest: string): CopyPlan {
    const present = this.manifests.size === 0 && this.#blobs.size === 0;
    const [platforms, pulls] = [[...this.#platforms], this.#pulls.size];
    return { present, digest, platforms, manifests: this.manifests, blobs: this.#blobs, pulls };
  }

  async #child(child: Descriptor, isAbsent = false): Promise<void> {
    const { source, target } = this.options;
    const { platform } = child;
    if (platform !== undefined && platform.os !== 'unknown') this.#platforms.add(formatPlatform(platform));
    const there = isAbsent
      ? undefined
      : await target.client.headManifest(target.reference.repository, child.digest, this.context);
    if (there !== undefined) return;
    const context = { ...this.context, isListed: true };
    await this.add(await source.client.getManifest(source.reference.repository, child.digest, context));
  }

  async #hasBlob(blob: Descriptor): Promise<boolean> {
    const { target, presence } = this.options;
    const { repository } = target.reference;
    return presence === 'bytes'
      ? target.client.canReadBlob(repository, blob, this.context)
      : target.client.headBlob(repository, blob, this.context);
  }

  #addBlobs(blobs: readonly Descriptor[]): void {
    for (const blob of blobs) if (!isForeign(blob)) this.#blobs.set(blob.digest, blob.size);
  }
}

function isComplete({ target, isComplete: known }: PlanOptions, digest: string): boolean {
  return known?.(`${target.client.host}/${target.reference.repository}@${digest}`) === true;
}

async function absentAsUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof RegistryError && error.kind === 'absent') return undefined;
    throw error;
  }
}

function filtered(options: Pick<CopyOptions, 'source'>, top: RawManifest, platforms: readonly string[]): RawManifest {
  const parsed = parseManifest(top);
  if (parsed.kind === 'image') return top;
  const selected = selectPlatforms(top, parsed, platforms);
  if (selected === undefined) throw invalid(options, `has none of the platforms ${platforms.join(', ')}`);
  return selected;
}

function invalid({ source }: Pick<CopyOptions, 'source'>, message: string): RegistryError {
  return new RegistryError(`${source.reference.repository} ${message}`, { kind: 'invalid', host: source.client.host });
}
