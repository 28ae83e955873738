import { isDigest } from '../../core/image/reference.js';
import type { ArchivedImage } from '../cloud.js';
import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** Time limit in milliseconds for one check: it only explains a 404, so nothing waits for it for long. */
const DESCRIBE_TIMEOUT_MS = 10_000;

/**
 * Finds out why ECR answers 404 for an image: archived images are listed but cannot be pulled. Undefined for an image
 * that ECR does not have, and if the identity lacks ecr:DescribeImages. Never rejects.
 *
 * @see https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive_restore_image.html
 */
export async function archivedImage(
  { sdk, ecr }: AwsClients,
  { accountId }: AwsConfig,
  repository: string,
  reference: string,
  signal: AbortSignal,
): Promise<ArchivedImage | undefined> {
  const command = new sdk.DescribeImagesCommand({
    registryId: accountId,
    repositoryName: repository,
    imageIds: [isDigest(reference) ? { imageDigest: reference } : { imageTag: reference }],
    // Without it, ECR lists only active images.
    filter: { imageStatus: 'ANY' },
  });
  const abortSignal = AbortSignal.any([signal, AbortSignal.timeout(DESCRIBE_TIMEOUT_MS)]);
  try {
    const { imageDetails: [image] = [] } = await ecr.send(command, { abortSignal });
    if (image?.imageStatus === 'ACTIVATING') return { isBeingRestored: true, words: RESTORING_MESSAGE };
    if (image?.imageStatus !== 'ARCHIVED') return undefined;
    const since = image.lastArchivedAt === undefined ? '' : ` since ${image.lastArchivedAt.toISOString()}`;
    return { isBeingRestored: false, words: `is archived in Amazon ECR${since}` };
  } catch {
    return undefined;
  }
}

const RESTORING_MESSAGE = "is being restored from Amazon ECR's archive, which takes up to 20 minutes";

/** Whether a lifecycle policy moves images into the archive. */
export function archives(lifecyclePolicy: string | undefined): boolean {
  if (lifecyclePolicy === undefined) return false;
  const { rules } = parseBoundedJson(lifecyclePolicy) as {
    readonly rules?: readonly { readonly action?: { readonly type?: unknown } }[];
  };
  return rules?.some(({ action }) => action?.type === 'transition') === true;
}
