import { normalizeRegistry } from '../../core/image/reference.js';
import type { RegistryPlace } from '../../core/naming/target.js';
import { withoutSlashes } from '../../core/naming/target.js';
import { azureLoginServerOf } from '../../core/image/azure-endpoints.js';
import type { RegistryNaming } from '../naming.js';
import { OCI_REPOSITORY_LIMIT } from '../naming.js';

/** The keys that determine where images are in an Azure registry. */
export interface AcrPlace {
  readonly registry: string;
  readonly prefix: string;
}

export const acrNaming: RegistryNaming<AcrPlace> = {
  keys: { host: 'registry', path: 'prefix' },
  reads: { registry: 'host', prefix: 'path' },
  place({ registry, prefix }): RegistryPlace {
    const host = normalizeRegistry(registry) ?? registry;
    const global = azureLoginServerOf(host);
    return {
      host,
      path: withoutSlashes(prefix),
      // An image under the registry's global name is in the target too.
      aliases: global === host ? [] : [global],
      // Azure's registry uses distribution's grammar.
      repositoryLimit: OCI_REPOSITORY_LIMIT,
      separators: 'any',
      wholeRegistry: false,
    };
  },
};
