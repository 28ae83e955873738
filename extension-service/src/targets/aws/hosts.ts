import type { AwsConfig } from '../../core/config/model.js';
import { ecrHosts } from '../../core/naming/ecr.js';
import type { CloudLogin } from '../cloud.js';

/** The registry's host and its aliases (FIPS, dual-stack), for which one login is good. */
export function ecrCovers({ accountId, region }: AwsConfig): CloudLogin['covers'] {
  const { host: own, aliases } = ecrHosts(accountId, region);
  return (host) => host === own || aliases.includes(host);
}
