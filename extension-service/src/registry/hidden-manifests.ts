import type { RegistryClient } from './client.js';
import { RegistryError } from './errors.js';
import type { ImageStore } from './image-store.js';
import type { RequestContext } from './types.js';

/**
 * A target for a copy. Some registries answer 403 for a manifest that does not exist (Artifactory's virtual repositories,
 * google/go-containerregistry#1691), or 401 for a repository that does not exist (Quay, openshift/oc-mirror#273). If the
 * login may push to the repository, such a manifest counts as absent.
 */
export function withHiddenManifests(client: RegistryClient): ImageStore {
  /** By repository: whether the login may push. */
  const pushes = new Map<string, Promise<boolean>>();
  const mayPush = (repository: string, context: RequestContext | undefined): Promise<boolean> => {
    const known = pushes.get(repository);
    if (known !== undefined) return known;
    const asked = client.probePush(repository, context).then(
      () => true,
      () => false,
    );
    pushes.set(repository, asked);
    return asked;
  };
  return {
    host: client.host,
    headManifest: async (repository, reference, context) => {
      try {
        return await client.headManifest(repository, reference, context);
      } catch (error) {
        if (!isHidden(error) || !(await mayPush(repository, context))) throw error;
        return undefined;
      }
    },
    getManifest: (...asked) => client.getManifest(...asked),
    putManifest: (...asked) => client.putManifest(...asked),
    getReferrers: (...asked) => client.getReferrers(...asked),
    headBlob: (...asked) => client.headBlob(...asked),
    canReadBlob: (...asked) => client.canReadBlob(...asked),
    getBlob: (...asked) => client.getBlob(...asked),
    uploadBlob: (...asked) => client.uploadBlob(...asked),
    isRepositoryUnknown: (...asked) => client.isRepositoryUnknown(...asked),
  };
}

function isHidden(error: unknown): boolean {
  if (!(error instanceof RegistryError)) return false;
  const { kind, status } = error;
  return (kind === 'forbidden' && status === 403) || (kind === 'unauthorized' && status === 401);
}
