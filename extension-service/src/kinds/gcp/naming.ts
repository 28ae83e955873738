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

/**
 * Repositories that also answer at the host of Container Registry that they are named after, with the location that
 * each must have (cloud.google.com/artifact-registry/docs/transition/gcr-repositories).
 */
export const GCR_REPOSITORIES: ReadonlyMap<string, string> = new Map([
  ['gcr.io', 'us'],
  ['us.gcr.io', 'us'],
  ['eu.gcr.io', 'europe'],
  ['asia.gcr.io', 'asia'],
]);

/** The project in image names: that of a domain, example.com:name, has a slash there. */
export function projectPath(projectId: string): string {
  return projectId.replace(':', '/');
}

export const gcpNaming: RegistryNaming<ArtifactRegistryPlace> = {
  keys: { host: 'location', path: 'repositoryId' },
  reads: { location: 'text', projectId: 'text', repositoryId: 'path' },
  place({ location, projectId, repositoryId }): RegistryPlace {
    return {
      host: `${location.toLowerCase()}-docker.pkg.dev`,
      path: [projectPath(projectId), ...(repositoryId === '' ? [] : [repositoryId])].join('/'),
      ...(repositoryId === '' && { needsPaths: true as const }),
      aliases: [],
      repositoryLimit: OCI_REPOSITORY_LIMIT,
      separators: 'any',
      wholeRegistry: false,
    };
  },
};
