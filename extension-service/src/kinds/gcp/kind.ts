import type { GcpConfig } from './config.js';
import type { RegistryKind } from '../kind.js';
import { credentialsFileFault } from './credentials-document.js';
import { artifactRegistryCovers, artifactRegistryOwns } from './hosts.js';
import { gcpNaming } from './naming.js';
import { gcpRules } from './rules.js';
import { gcpSchema, gcpSourceSchema } from './schema.js';
import { ArtifactRegistry } from './registry.js';

/** Google Artifact Registry. */
export const gcp: RegistryKind<GcpConfig> = {
  type: 'gcp',
  about: 'Google Artifact Registry.',
  schema: gcpSchema,
  sourceSchema: gcpSourceSchema,
  rules: gcpRules,
  naming: gcpNaming,
  // One repository holds all of a target.
  immutableTagsKey: ({ repository }) => (repository?.immutableTags === true ? 'repository.immutableTags' : undefined),
  sharesHosts: true,
  credentialsFile: {
    key: 'credentialsFile',
    variable: 'GOOGLE_APPLICATION_CREDENTIALS',
    allowed: 'expected a JSON file with Google credentials, such as a service account key',
    fault(text) {
      const result = credentialsFileFault(text);
      return 'fault' in result ? result.fault : undefined;
    },
  },
  cloud: {
    scope: (settings, isTarget) => ({
      covers: artifactRegistryCovers(settings, isTarget),
      owns: artifactRegistryOwns(settings),
    }),
    opener: (options) => ({ open: (settings, name) => new ArtifactRegistry(settings, name, options) }),
  },
};
