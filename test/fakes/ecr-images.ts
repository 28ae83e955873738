import { AwsError } from './aws-error.js';

export type ImageStatus = 'ACTIVE' | 'ARCHIVED' | 'ACTIVATING';

/** An image as DescribeImages shows it. */
export interface EcrImage {
  readonly imageDigest: string;
  readonly imageTags: readonly string[];
  readonly imageStatus: ImageStatus;
  /** Seconds since the epoch. */
  readonly lastArchivedAt?: number;
}

export interface SigningStatus {
  readonly signingProfileArn: string;
  readonly status: 'COMPLETE' | 'FAILED' | 'IN_PROGRESS';
  readonly failureCode?: string;
  readonly failureReason?: string;
}

/** The images of all repositories, by the repository's ARN, and the states of their managed signatures. */
export class EcrImages {
  readonly #images = new Map<string, Map<string, EcrImage>>();
  /** Signing states by image digest. */
  readonly signing = new Map<string, readonly SigningStatus[]>();

  /** Digests that ECR does not delete because an index refers to them. */
  readonly keeps = new Set<string>();

  remove(repository: string, reference: string): void {
    const image = this.find(repository, reference);
    if (image !== undefined) this.#images.get(repository)?.delete(image.imageDigest);
  }

  /** A push restores an archived image from the archive at once. */
  pushed(repository: string, imageDigest: string, tag: string | undefined): void {
    const images = this.#images.get(repository) ?? new Map<string, EcrImage>();
    this.#images.set(repository, images);
    for (const image of images.values()) {
      if (tag === undefined || !image.imageTags.includes(tag)) continue;
      images.set(image.imageDigest, { ...image, imageTags: image.imageTags.filter((name) => name !== tag) });
    }
    const tags = new Set([...(images.get(imageDigest)?.imageTags ?? []), ...(tag === undefined ? [] : [tag])]);
    images.set(imageDigest, { imageDigest, imageTags: [...tags], imageStatus: 'ACTIVE' });
  }

  /** Moves an image, by its tag or digest. */
  setStatus(repository: string, reference: string, imageStatus: ImageStatus): void {
    const image = this.find(repository, reference);
    if (image === undefined) throw new Error(`${repository} has no image ${reference}`);
    const archived = imageStatus === 'ARCHIVED' ? { lastArchivedAt: Date.UTC(2026, 8, 1) / 1000 } : {};
    this.#images.get(repository)?.set(image.imageDigest, { ...image, imageStatus, ...archived });
  }

  find(repository: string, reference: string): EcrImage | undefined {
    return this.list(repository).find(
      ({ imageDigest, imageTags }) => imageDigest === reference || imageTags.includes(reference),
    );
  }

  list(repository: string): readonly EcrImage[] {
    return [...(this.#images.get(repository)?.values() ?? [])];
  }

  /** @throws AwsError ImageNotFoundException */
  get(repository: string, name: string, reference: string): EcrImage {
    const found = this.find(repository, reference);
    if (found !== undefined) return found;
    const message = `The image with imageId {${reference}} does not exist within the repository with name '${name}'`;
    throw new AwsError('ImageNotFoundException', message);
  }
}

/** Settings of a registry that apply to all of its repositories. */
export interface EcrRegistrySettings {
  signing?: readonly { readonly signingProfileArn: string; readonly filters: readonly string[] }[];
  pullTimeExclusions: readonly string[];
  creationTemplates: readonly {
    readonly prefix: string;
    readonly appliedFor: readonly ('CREATE_ON_PUSH' | 'PULL_THROUGH_CACHE' | 'REPLICATION')[];
  }[];
}
