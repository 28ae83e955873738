import type { GcpConfig } from './config.js';
import type { CloudLogin } from '../cloud.js';
import { GCR_REPOSITORIES, gcpNaming, projectPath } from './naming.js';

/** Artifact Registry in any location, and Container Registry, whose remaining hosts it serves. */
const googleHost = /^(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io)(?::443)?$/;

/** The host, and the path of the repository below it: `PROJECT/REPOSITORY`. */
export function artifactRegistryPlace(gcp: GcpConfig): { readonly host: string; readonly path: string } {
  return gcpNaming.place(gcp);
}

/** Whether the image's repository is in the configured one; that of gcr.io also has the names of gcr.io. */
export function artifactRegistryOwns(gcp: GcpConfig): CloudLogin['covers'] {
  const { repositoryId, projectId } = gcp;
  const places = [artifactRegistryPlace(gcp)];
  if (GCR_REPOSITORIES.has(repositoryId)) places.push({ host: repositoryId, path: projectPath(projectId) });
  return (host, repository) =>
    places.some((own) => host.replace(/:443$/, '') === own.host && `${repository}/`.startsWith(`${own.path}/`));
}

/**
 * The registries that the login of a configured repository may be sent to. A Google token is valid for all of Google's
 * registries, and k8s-image-swapper uses its token for all of them; images that the identity may not read stay
 * inaccessible. But an identity that is impersonated for one source is not used for others.
 */
export function artifactRegistryCovers(gcp: GcpConfig, isTarget: boolean): CloudLogin['covers'] {
  if (!isTarget && (gcp.serviceAccount !== undefined || gcp.credentialsFile !== undefined)) {
    return artifactRegistryOwns(gcp);
  }
  return (host) => googleHost.test(host);
}
