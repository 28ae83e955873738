import { AwsError, invalidParameter } from './aws-error.js';
import type { EcrContext } from './ecr-actions.js';
import type { EcrImage } from './ecr-images.js';
import { rejectUnknown, type Parameters } from './ecr-rules.js';

const STATUSES: readonly unknown[] = ['ACTIVE', 'ARCHIVED', 'ACTIVATING', 'ANY'];
const TAG_STATUSES: readonly unknown[] = ['TAGGED', 'UNTAGGED', 'ANY'];

/** The control plane's actions on images and on the settings of a whole registry. */
export const ECR_IMAGE_ACTIONS: Readonly<Record<string, (context: EcrContext) => object>> = {
  DescribeImages({ account, region, parameters, repositories, images }) {
    rejectUnknown(parameters, 'registryId', 'repositoryName', 'imageIds', 'nextToken', 'maxResults', 'filter');
    const { imageIds, maxResults } = parameters;
    const { repositoryArn, repositoryName } = repositories.get(account, region, parameters['repositoryName']);
    const { tagStatus = 'ANY', imageStatus = 'ACTIVE' } = filterOf(parameters['filter']);
    const isWanted = (image: EcrImage): boolean =>
      (imageStatus === 'ANY' || image.imageStatus === imageStatus) &&
      (tagStatus === 'ANY' || image.imageTags.length > 0 === (tagStatus === 'TAGGED'));
    if (imageIds === undefined) {
      const size = maxResults === undefined ? 100 : Number(maxResults);
      if (!(size >= 1 && size <= 1000)) throw invalidParameter('maxResults', 'must be 1 to 1000');
      return { imageDetails: images.list(repositoryArn).filter(isWanted).slice(0, size) };
    }
    if (maxResults !== undefined) throw invalidParameter('maxResults', 'not with imageIds');
    if (!Array.isArray(imageIds) || imageIds.length < 1 || imageIds.length > 100) {
      throw invalidParameter('imageIds', 'Member must have length between 1 and 100');
    }
    const found = imageIds.map((id: unknown) => images.get(repositoryArn, repositoryName, referenceOf(id)));
    return { imageDetails: found.filter(isWanted) };
  },

  BatchDeleteImage({ account, region, parameters, repositories, images }) {
    rejectUnknown(parameters, 'registryId', 'repositoryName', 'imageIds');
    const { repositoryArn, repositoryName } = repositories.get(account, region, parameters['repositoryName']);
    const { imageIds } = parameters;
    if (!Array.isArray(imageIds) || imageIds.length < 1 || imageIds.length > 100) {
      throw invalidParameter('imageIds', 'Member must have length between 1 and 100');
    }
    const references = imageIds.map(referenceOf);
    const present = references.filter((reference) => images.find(repositoryArn, reference) !== undefined);
    const kept = present.filter((reference) => images.keeps.has(reference));
    for (const reference of present) if (!kept.includes(reference)) images.remove(repositoryArn, reference);
    const failure = (imageDigest: string, failureCode: string, failureReason: string): object => ({
      ...{ imageId: { imageDigest }, failureCode, failureReason },
    });
    return {
      repositoryName,
      imageIds: present.filter((reference) => !kept.includes(reference)).map((imageDigest) => ({ imageDigest })),
      failures: [
        ...references
          .filter((reference) => !present.includes(reference))
          .map((reference) => failure(reference, 'ImageNotFound', 'Requested image not found')),
        ...kept.map((reference) =>
          failure(reference, 'ImageReferencedByManifestList', 'Requested image referenced by manifest list'),
        ),
      ],
    };
  },

  DescribeImageSigningStatus({ account, region, parameters, repositories, images }) {
    rejectUnknown(parameters, 'registryId', 'repositoryName', 'imageId');
    const { repositoryArn, repositoryName } = repositories.get(account, region, parameters['repositoryName']);
    const { imageDigest } = images.get(repositoryArn, repositoryName, referenceOf(parameters['imageId']));
    return { repositoryName, imageId: { imageDigest }, signingStatuses: images.signing.get(imageDigest) ?? [] };
  },

  GetSigningConfiguration({ account, parameters, registry }) {
    rejectUnknown(parameters);
    if (registry.signing === undefined) {
      throw new AwsError('SigningConfigurationNotFoundException', 'The signing configuration was not found');
    }
    const rules = registry.signing.map(({ signingProfileArn, filters }) => ({
      signingProfileArn,
      ...(filters.length > 0 && {
        repositoryFilters: filters.map((filter) => ({ filter, filterType: 'WILDCARD_MATCH' })),
      }),
    }));
    return { registryId: account, signingConfiguration: { rules } };
  },

  ListPullTimeUpdateExclusions({ parameters, registry }) {
    rejectUnknown(parameters, 'nextToken', 'maxResults');
    return paged(parameters, registry.pullTimeExclusions, 'pullTimeUpdateExclusions');
  },

  DescribeRepositoryCreationTemplates({ account, parameters, registry }) {
    rejectUnknown(parameters, 'prefixes', 'nextToken', 'maxResults');
    return { registryId: account, ...paged(parameters, registry.creationTemplates, 'repositoryCreationTemplates') };
  },
};

/** Each page has one item, so that a client that does not follow pages sees too little. */
function paged(parameters: Parameters, items: readonly unknown[], name: string): object {
  const from = Number(parameters['nextToken'] ?? 0);
  if (!Number.isInteger(from)) throw invalidParameter('nextToken', 'must be one that was given out');
  const next = from + 1 < items.length ? { nextToken: String(from + 1) } : {};
  return { [name]: items.slice(from, from + 1), ...next };
}

function filterOf(value: unknown): Parameters {
  if (value === undefined) return {};
  const filter = value as Parameters;
  rejectUnknown(filter, 'tagStatus', 'imageStatus');
  const { tagStatus = 'ANY', imageStatus = 'ACTIVE' } = filter;
  if (!STATUSES.includes(imageStatus)) throw invalidParameter('filter.imageStatus', 'must be a known status');
  if (!TAG_STATUSES.includes(tagStatus)) throw invalidParameter('filter.tagStatus', 'must be a known status');
  return filter;
}

function referenceOf(value: unknown): string {
  const { imageDigest, imageTag } = (value ?? {}) as Parameters;
  rejectUnknown((value ?? {}) as Parameters, 'imageDigest', 'imageTag');
  if (typeof imageDigest === 'string' && /^sha256:[0-9a-f]{64}$/.test(imageDigest)) return imageDigest;
  if (imageDigest === undefined && typeof imageTag === 'string' && imageTag !== '') return imageTag;
  throw invalidParameter('imageId', 'must have a digest or a tag');
}
