import { normalizeRegistry } from '../../core/image/reference.js';
import type { RegistryPlace } from '../../core/naming/target.js';
import { withoutSlashes } from '../../core/naming/target.js';
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
    return {
      host: normalizeRegistry(registry) ?? registry,
      path: withoutSlashes(prefix),
      aliases: [],
      // Azure's registry uses distribution's grammar.
      repositoryLimit: OCI_REPOSITORY_LIMIT,
      separators: 'any',
      wholeRegistry: false,
    };
  },
};
