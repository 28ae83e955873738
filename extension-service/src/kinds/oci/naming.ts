import { normalizeRegistry } from '../../core/image/reference.js';
import type { RegistryPlace } from '../../core/naming/target.js';
import { withoutSlashes } from '../../core/naming/target.js';
import { isEcrHost } from '../aws/naming-hosts.js';
import { ECR_REPOSITORIES } from '../aws/naming.js';
import type { RegistryNaming } from '../naming.js';
import { OCI_REPOSITORY_LIMIT } from '../naming.js';

/** Keys that locate any other registry. */
export interface OciPlace {
  readonly registry: string;
  readonly prefix: string;
}

export const ociNaming: RegistryNaming<OciPlace> = {
  keys: { host: 'registry', path: 'prefix' },
  reads: { registry: 'host', prefix: 'path' },
  place({ registry, prefix }): RegistryPlace {
    const host = normalizeRegistry(registry) ?? registry;
    return {
      host,
      path: withoutSlashes(prefix),
      aliases: [],
      // ECR may also be configured with a password, and keeps its own rules.
      ...(isEcrHost(host) ? ECR_REPOSITORIES : { repositoryLimit: OCI_REPOSITORY_LIMIT, separators: 'any' }),
      wholeRegistry: false,
    };
  },
};
