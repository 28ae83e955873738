import type { RegistryPlace } from '../../core/naming/target.js';
import { withoutSlashes } from '../../core/naming/target.js';
import type { RegistryNaming } from '../naming.js';
import type { EcrEndpoint } from './naming-hosts.js';
import { ecrHosts, publicDualStackHost, publicHost } from './naming-hosts.js';

/** Keys that locate a registry of Amazon ECR. */
export interface EcrPlace {
  readonly accountId: string;
  readonly region: string;
  readonly prefix: string;
  readonly endpoint?: EcrEndpoint;
  /** For a source: Amazon's public registry. */
  readonly public?: boolean;
}

/** Repository names that ECR accepts. */
export const ECR_REPOSITORIES = { repositoryLimit: 256, separators: 'single' } as const;

export const awsNaming: RegistryNaming<EcrPlace> = {
  keys: { host: 'region', path: 'prefix' },
  reads: { accountId: 'text', region: 'text', prefix: 'path', endpoint: 'choice' },
  place(settings): RegistryPlace {
    const { accountId, region, endpoint, prefix } = settings;
    const hosts =
      settings.public === true
        ? { host: publicHost, aliases: [publicDualStackHost] }
        : ecrHosts({ accountId, region: region.toLowerCase(), ...(endpoint !== undefined && { endpoint }) });
    // Nodes that can pull the mirror can pull the whole registry of the account and region.
    return { ...hosts, path: withoutSlashes(prefix), ...ECR_REPOSITORIES, wholeRegistry: true };
  },
};
