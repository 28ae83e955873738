import type { EcrOptions } from './config.js';

/** Whether a tag can't be moved in repositories with these options. */
export function isImmutableTag(
  { imageTagMutability, imageTagMutabilityExclusionFilters }: EcrOptions,
  tag: string,
): boolean {
  const excluded = imageTagMutabilityExclusionFilters.some(({ filter }) => wildcard(filter).test(tag));
  switch (imageTagMutability) {
    case 'MUTABLE':
      return false;
    case 'IMMUTABLE':
      return true;
    case 'IMMUTABLE_WITH_EXCLUSION':
      return !excluded;
    case 'MUTABLE_WITH_EXCLUSION':
      return excluded;
  }
}

/** ECR's WILDCARD filters: `*` stands for any characters. */
function wildcard(filter: string): RegExp {
  const parts = filter.split('*').map((part) => part.replace(/[.\\+?^${}()|[\]]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}
