import type { EcrContext } from './context.js';
import { awsProblem } from './problems.js';

/** BatchDeleteImage accepts at most this many images. */
const MAX_BATCH = 100;
/** Time limit in milliseconds for one call, including the SDK's retries. */
const CALL_TIMEOUT_MS = 60_000;
const ACTION = 'ecr:BatchDeleteImage';

/**
 * Deletes images by digest, with all their tags. A missing image counts as deleted. ECR keeps an image that an index
 * refers to (`ImageReferencedByManifestList`), so the index belongs in an earlier call.
 *
 * @throws RegistryError with the missing permission, or ECR's reason for the first image that it keeps @see
 * https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
 */
export async function removeImages(
  { aws, host, names, clients }: Pick<EcrContext, 'aws' | 'host' | 'names' | 'clients'>,
  repository: string,
  digests: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { sdk, ecr } = await clients();
  for (let from = 0; from < digests.length; from += MAX_BATCH) {
    const batch = digests.slice(from, from + MAX_BATCH);
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
