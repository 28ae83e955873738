import type { RegistryClient } from './client.js';

/** The part of a registry that copies use. An OCI image layout on disk has it too. */
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
  /** Tags that differ in case alone are different; else the copy finds out before it puts a tag with capitals. */
  readonly keepsTagCase?: true;
}
