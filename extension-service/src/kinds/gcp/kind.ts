import type { GcpConfig } from '../../core/config/model.js';
import type { RegistryKind } from '../kind.js';
import { artifactRegistryCovers, artifactRegistryOwns } from './hosts.js';
import { gcpNaming } from './naming.js';
import { ArtifactRegistry } from './registry.js';

/** Google Artifact Registry. */
export const gcp: RegistryKind<GcpConfig> = {
  type: 'gcp',
  naming: gcpNaming,
  sharesHosts: true,
  cloud: {
    scope: (settings, isTarget) => ({
      covers: artifactRegistryCovers(settings, isTarget),
      owns: artifactRegistryOwns(settings),
    }),
    opener: (options) => ({ open: (settings, name) => new ArtifactRegistry(settings, name, options) }),
  },
};
