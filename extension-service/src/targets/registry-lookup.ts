import type { Config } from '../core/config/model.js';
import type { TargetReference } from '../core/naming/name.js';
import { CopyFailedError } from '../registry/copy-failure.js';
import { RegistryError } from '../registry/errors.js';
import { foldedTagText, hasCapitals, TagCase } from '../registry/tag-case.js';
import type { TargetLookup, UnknownReason } from './existence.js';
import { Registries } from './registries.js';
import type { RegistriesOptions } from './registries.js';
import { messageOf } from '../util/message-of.js';

/**
 * Checks whether targets have images, by HEAD of a manifest: no listing, no pull, the same request that `docker pull`
 * sends first.
 */
export class RegistryLookup implements TargetLookup {
  private registries: Registries;
  private readonly tagCase = new TagCase();

  constructor(
    config: Config,
    private readonly options: RegistriesOptions,
  ) {
    this.registries = this.open(config);
  }

  /** @throws Error if the new configuration cannot be used; the previous one stays */
  configure(config: Config): void {
    const before = this.registries;
    this.registries = this.open(config);
    before.retire();
  }

  async head(
    target: string,
    { repository, shownAs, digest }: TargetReference,
    signal: AbortSignal,
  ): Promise<{ readonly digest?: string } | undefined> {
    const head = await this.registries.target(target).headManifest(repository, shownAs, { signal });
    if (head === undefined) return undefined;
    const found = digest ?? head.digest;
    if (found === undefined) return {};
    if (digest === undefined && hasCapitals(shownAs))
      await this.rejectFoldedTag(target, repository, shownAs, found, signal);
    return { digest: found };
  }

  /** Why the target does not return an image, as a continuation of its name; undefined if it does not have it. */
  async archived({ registry, repository, shownAs }: TargetReference, signal: AbortSignal): Promise<string | undefined> {
    return (await this.registries.findArchived(registry, repository, shownAs, signal))?.words;
  }

  classify(error: unknown): { reason: UnknownReason; message: string } {
    const message = messageOf(error);
    if (error instanceof Error && error.name === 'TimeoutError') return { reason: 'timeout', message };
    // A cloud's login comes from the background worker, and so does its failure.
    const kind =
      error instanceof RegistryError ? error.kind : error instanceof CopyFailedError ? error.failure.reason : 'other';
    switch (kind) {
      case 'unauthorized':
      case 'forbidden':
      case 'throttled':
      case 'unreachable':
        return { reason: kind, message };
      case 'server':
        // A gateway in front of a dead registry: for the breaker the same as no answer.
        return { reason: 'unreachable', message };
      default:
        return { reason: 'other', message };
    }
  }

  /** A registry that folds the case of tags answers with the image of another tag. */
  private async rejectFoldedTag(
    target: string,
    repository: string,
    tag: string,
    digest: string,
    signal: AbortSignal,
  ): Promise<void> {
    const client = this.registries.target(target);
    if ((await this.tagCase.ignoresCase(client, repository, { tag, digest }, { signal })) !== true) return;
    throw new RegistryError(foldedTagText(repository, tag), { kind: 'refused', host: client.host });
  }

  private open(config: Config): Registries {
    // An admission waits: after a failure, the next Pod causes another lookup.
    return new Registries(config, { ...this.options, retry: { attempts: 1 } });
  }
}
