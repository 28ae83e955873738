import type { GarbageDecision } from '../../core/gc/decide-garbage.js';
import type { RegistryClient } from '../../registry/client.js';
import { RegistryError } from '../../registry/errors.js';
import { deletionAdvice } from './deletion-advice.js';

export interface ImageDeleterOptions {
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
  /** Deletes with a cloud's API; otherwise the distribution API is used. @throws RegistryError */
  readonly remove?: (repository: string, digests: readonly string[], signal: AbortSignal) => Promise<void>;
  /** Whether the registry deletes a manifest only if no tag points to it (Artifact Registry). */
  readonly tagsFirst?: boolean;
}

/** Deletes images and their platforms. {@link failures} holds what a registry refuses. */
export class ImageDeleter {
  /** The reason of each image that is not, or not completely, deleted. */
  readonly failures = new Map<GarbageDecision, string>();

  constructor(private readonly options: ImageDeleterOptions) {}

  /** Whether {@link deletePlatforms} shows which platforms there still were: a cloud's API does not. */
  get seesPlatforms(): boolean {
    return this.options.remove === undefined;
  }

  /** Whether the registry has the manifest; false when in doubt. */
  async has({ repository }: GarbageDecision, digest: string): Promise<boolean> {
    const { client, signal } = this.options;
    try {
      return (await client.headManifest(repository, digest, { signal })) !== undefined;
    } catch (error) {
      if (error instanceof RegistryError) return false;
      throw error;
    }
  }

  /** Deletes an image with its tags, without its platforms. @returns whether the registry had it and deleted it */
  async deleteImage(decision: GarbageDecision): Promise<boolean> {
    const { client, signal, tagsFirst = false, remove } = this.options;
    const { repository, digest, tags } = decision;
    try {
      if (remove !== undefined) {
        await remove(repository, [digest], signal);
        return true;
      }
      for (const tag of tagsFirst ? tags : []) await client.deleteManifest(repository, tag, { signal });
      return await client.deleteManifest(repository, digest, { signal });
    } catch (error) {
      this.#failed(decision, error);
      if (tagsFirst) await this.#restoreTags(decision).catch(() => undefined);
      return false;
    }
  }

  /** Deletes the orphans of a deleted index. @returns those that the registry still had */
  async deletePlatforms(decision: GarbageDecision, orphans: readonly string[]): Promise<ReadonlySet<string>> {
    const { client, signal, remove } = this.options;
    const { repository } = decision;
    const found = new Set<string>();
    if (orphans.length === 0) return found;
    try {
      if (remove !== undefined) await remove(repository, orphans, signal);
      else
        for (const orphan of orphans)
          if (await client.deleteManifest(repository, orphan, { signal })) found.add(orphan);
    } catch (error) {
      this.#failed(decision, error);
    }
    return found;
  }

  #failed(decision: GarbageDecision, error: unknown): void {
    if (!(error instanceof RegistryError)) throw error;
    this.failures.set(decision, `${error.message}${deletionAdvice(error)}`);
  }

  /**
   * Restores the tags that were deleted before the registry refused to delete the image itself, for example because of
   * attached signatures.
   */
  async #restoreTags({ repository, digest, tags }: GarbageDecision): Promise<void> {
    const { client, signal } = this.options;
    const manifest = await client.getManifest(repository, digest, { signal });
    for (const tag of tags) {
      if ((await client.headManifest(repository, tag, { signal })) === undefined)
        await client.putManifest(repository, tag, manifest, { signal });
    }
  }
}
