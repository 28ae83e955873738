import type { RegistryPlace } from '../../core/naming/target.js';
import type { RegistryNaming } from '../naming.js';
import { OCI_REPOSITORY_LIMIT } from '../naming.js';

/** Keys that locate a repository of Google Artifact Registry. */
export interface ArtifactRegistryPlace {
  readonly location: string;
  readonly projectId: string;
  /** '' for a target whose `paths` name the repositories of the project. */
  readonly repositoryId: string;
}

export const gcpNaming: RegistryNaming<ArtifactRegistryPlace> = {
  keys: { host: 'location', path: 'repositoryId' },
  reads: { location: 'text', projectId: 'text', repositoryId: 'path' },
  place({ location, projectId, repositoryId }): RegistryPlace {
    return {
      host: `${location.toLowerCase()}-docker.pkg.dev`,
      // A domain-scoped project, example.com:name, has a slash in image names.
      path: [projectId.replace(':', '/'), ...(repositoryId === '' ? [] : [repositoryId])].join('/'),
      ...(repositoryId === '' && { needsPaths: true as const }),
      aliases: [],
      repositoryLimit: OCI_REPOSITORY_LIMIT,
      separators: 'any',
      wholeRegistry: false,
    };
  },
};
