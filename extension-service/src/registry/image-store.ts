import type { RegistryClient } from './client.js';

/** The part of a registry that copies use, which an OCI image layout on disk also has. */
export interface ImageStore extends Pick<
  RegistryClient,
  | 'host'
  | 'headManifest'
  | 'getManifest'
  | 'putManifest'
  | 'getReferrers'
  | 'headBlob'
  | 'canReadBlob'
  | 'getBlob'
  | 'uploadBlob'
  | 'isRepositoryUnknown'
> {
  /**
   * Whether tags that differ only in case are different; if unknown, the copy finds out before it puts a tag with
   * capitals.
   */
  readonly keepsTagCase?: true;
}
