import type { EcrContext } from './context.js';
import { awsProblem } from './problems.js';

/** BatchDeleteImage takes at most so many images. */
const MAX_BATCH = 100;
/** Milliseconds for one call, the SDK's tries included. */
const CALL_TIMEOUT_MS = 60_000;
const ACTION = 'ecr:BatchDeleteImage';

/**
 * Deletes images by digest, with all their tags. An index goes in a call of its own, before its platforms: ECR keeps an
 * image that an index names (`ImageReferencedByManifestList`). An image that is not there counts as deleted.
 *
 * @param digests an index first, where there is one
 * @throws RegistryError that names the permission, or what ECR says of the first image that it keeps
 * @see https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
 */
export async function removeImages(
  { aws, host, names, clients }: Pick<EcrContext, 'aws' | 'host' | 'names' | 'clients'>,
  repository: string,
  digests: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { sdk, ecr } = await clients();
  const [first, ...others] = digests;
  const batches = first === undefined ? [] : [[first]];
  for (let from = 0; from < others.length; from += MAX_BATCH) batches.push(others.slice(from, from + MAX_BATCH));
  for (const batch of batches) {
    const command = new sdk.BatchDeleteImageCommand({
      registryId: aws.accountId,
      repositoryName: repository,
      imageIds: batch.map((imageDigest) => ({ imageDigest })),
    });
    try {
      const abortSignal = AbortSignal.any([signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
      const { failures = [] } = await ecr.send(command, { abortSignal });
      const kept = failures.find(({ failureCode }) => failureCode !== 'ImageNotFound');
      if (kept !== undefined) throw refusal(kept);
    } catch (error) {
      throw awsProblem(host, ACTION, names.arn(repository), error);
    }
  }
}

interface Failure {
  readonly imageId?: { readonly imageDigest?: string | undefined } | undefined;
  readonly failureCode?: string | undefined;
  readonly failureReason?: string | undefined;
}

function refusal({ imageId, failureCode = 'Error', failureReason = 'no reason given' }: Failure): Error {
  return Object.assign(new Error(`${imageId?.imageDigest ?? 'an image'} is kept: ${failureReason}`), {
    name: failureCode,
  });
}
