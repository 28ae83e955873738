import { DEFAULT_NAME } from '../../policies/options.js';

/** The kind of the objects that contain the table (docs/kyverno.md, "The table"). */
export const IMAGE_TABLES = {
  group: 'image-swapper.io',
  version: 'v1alpha1',
  kind: 'ImageTable',
  plural: 'imagetables',
} as const;

/** Entries in one object, and objects: 20,000 images. */
export const TABLE_PAGE_LIMITS = { entries: 500, characters: 400_000, pages: 40 } as const;

/** Names of the objects that contain the table. The first one always exists. */
export function pageNames(policyName: string = DEFAULT_NAME): readonly string[] {
  return Array.from({ length: TABLE_PAGE_LIMITS.pages }, (_, index) => `${policyName}-${index}`);
}
