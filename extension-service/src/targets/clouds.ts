import { isTargetName } from './cloud.js';
import type { CloudEvent, CloudLogin, CloudRegistry, CloudRegistryConfig, OpenCloudRegistry } from './cloud.js';
import { EcrRegistry } from './aws/ecr-registry.js';
import { ecrCovers } from './aws/hosts.js';
import { QuotaPool } from './aws/quotas.js';
import { ArtifactRegistry } from './gcp/artifact-registry.js';
import { artifactRegistryCovers, artifactRegistryOwns } from './gcp/hosts.js';

/** What the clouds' code has of the world. */
export interface CloudOptions {
  /** Credentials, endpoints and proxies are read from it, as the clouds' own tools do. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onEvent: (event: CloudEvent) => void;
  /** For people: what went wrong without failing anything. */
  readonly report: (problem: string) => void;
}

/** Opens registries of clouds; their SDKs are loaded by the first call that needs them. */
export function openClouds(options: CloudOptions): OpenCloudRegistry<CloudRegistry> {
  // Beyond one configuration: a reload does not begin the quotas anew.
  const quotas = new QuotaPool();
  return (registry, name) =>
    registry.type === 'aws'
      ? new EcrRegistry(registry.aws, name, { ...options, quotas })
      : new ArtifactRegistry(registry.gcp, name, options);
}

/** Which registries the login of a configured one may be sent to; `name` as in {@link OpenCloudRegistry}. */
export function cloudScope(registry: CloudRegistryConfig, name: string): Pick<CloudLogin, 'covers' | 'owns'> {
  if (registry.type === 'aws') return { covers: ecrCovers(registry.aws) };
  return {
    covers: artifactRegistryCovers(registry.gcp, isTargetName(name)),
    owns: artifactRegistryOwns(registry.gcp),
  };
}
