import type { RegistryKind } from '../kind.js';
import type { AcrConfig } from './config.js';
import { acrCovers } from './hosts.js';
import { acrNaming } from './naming.js';
import { AcrRegistry } from './registry.js';
import { acrSchema } from './schema.js';

/** One upload request may have about 20 MB; larger layers are sent in chunks. */
const UPLOAD_CHUNK_BYTES = 16 * 1024 * 1024;

/** Azure Container Registry, with a login through Microsoft Entra workload identity. */
export const acr: RegistryKind<AcrConfig> = {
  type: 'acr',
  about: 'Azure Container Registry.',
  schema: acrSchema,
  naming: acrNaming,
  transport: () => ({ insecure: false, uploadChunk: UPLOAD_CHUNK_BYTES }),
  cloud: {
    scope: (settings) => ({ covers: acrCovers(settings) }),
    opener: (options) => ({ open: (settings, name) => new AcrRegistry(settings, name, options) }),
  },
};
