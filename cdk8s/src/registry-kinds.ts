// Written by "npm run generate" from extension-service/src/kinds; do not edit.
import { awsNaming } from '../../extension-service/src/kinds/aws/naming.js';
import { gcpNaming } from '../../extension-service/src/kinds/gcp/naming.js';
import { ociNaming } from '../../extension-service/src/kinds/oci/naming.js';
import { acrNaming } from '../../extension-service/src/kinds/acr/naming.js';
import type { KindNaming } from './kind-naming.js';

/** A registry; one of aws, gcp, oci and acr is set. */
export interface SwapperRegistry {
  /** @default inferred: whichever of aws, gcp, oci and acr is set */
  readonly type?: 'aws' | 'gcp' | 'oci' | 'acr';
  /** Amazon ECR. */
  readonly aws?: {
    /** The AWS account that the registry belongs to. Digits, as text: a number loses leading zeros. */
    readonly accountId: string;
    /** The region that the registry is in. */
    readonly region: string;
    /** Path prefix for every image in the registry. */
    readonly prefix?: string;
    /** Which of the registry's host names to use in image references, and which AWS endpoints to call. */
    readonly endpoint?: 'standard' | 'fips' | 'dual-stack' | 'fips-dual-stack';
    /** Other keys that the service reads. */
    readonly [key: string]: unknown;
  };
  /** Google Artifact Registry. */
  readonly gcp?: {
    /** Location of the repository. */
    readonly location: string;
    /** The Google Cloud project. */
    readonly projectId: string;
    /** The repository in the project; all images go there. Only a target with `paths` can do without it. */
    readonly repositoryId?: string;
    /** Other keys that the service reads. */
    readonly [key: string]: unknown;
  };
  /** Any other registry. */
  readonly oci?: {
    /** The registry's host. */
    readonly registry: string;
    /** Path prefix for every image in the registry. */
    readonly prefix?: string;
    /** Other keys that the service reads. */
    readonly [key: string]: unknown;
  };
  /** Azure Container Registry. */
  readonly acr?: {
    /** The registry's login server. */
    readonly registry: string;
    /** Path prefix for every image in the registry. */
    readonly prefix?: string;
    /** Other keys that the service reads. */
    readonly [key: string]: unknown;
  };
}

/** How the registries of each kind name images, by their `type`. */
export const NAMINGS: ReadonlyMap<string, KindNaming> = new Map<string, KindNaming>([
  ['aws', awsNaming],
  ['gcp', gcpNaming],
  ['oci', ociNaming],
  ['acr', acrNaming],
]);
