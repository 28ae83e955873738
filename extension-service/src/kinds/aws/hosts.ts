import type { AwsConfig } from './config.js';
import { ecrHosts, publicDualStackHost, publicHost } from './naming-hosts.js';
import type { CloudLogin } from '../cloud.js';

/** The host in the names of the registry's images. */
export function ecrHost(aws: AwsConfig): string {
  return aws.public === true ? publicHost : ecrHosts(aws).host;
}

/** The registry's host and its aliases (FIPS, dual-stack), for which one login is valid. */
export function ecrCovers(aws: AwsConfig): CloudLogin['covers'] {
  if (aws.public === true) return (host) => host === publicHost || host === publicDualStackHost;
  const { host: own, aliases } = ecrHosts(aws);
  return (host) => host === own || aliases.includes(host);
}
