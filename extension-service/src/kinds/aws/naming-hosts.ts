/**
 * Host names of a private ECR registry in each partition: `ACCOUNT.dkr.ecr.REGION.SUFFIX`, its FIPS form
 * `dkr.ecr-fips`, and with a dual-stack suffix also `dkr-ecr` and `dkr-ecr-fips`. The source is the pattern of
 * amazon-ecr-credential-helper, which the kubelet's credential provider also uses.
 */
export interface EcrHosts {
  readonly host: string;
  readonly aliases: readonly string[];
}

/** Amazon's public registry. */
export const publicHost = 'public.ecr.aws';
/** The same registry over IPv4 and IPv6. */
export const publicDualStackHost = 'ecr-public.aws.com';

/** Which of the registry's hosts to use in image names; aliases are still recognized. */
export type EcrEndpoint = 'standard' | 'fips' | 'dual-stack' | 'fips-dual-stack';

interface Partition {
  /** The name in ARNs. */
  readonly name: string;
  readonly regions: RegExp;
  readonly suffix: string;
  readonly dualStackSuffix?: string;
}

const commercial: Partition = { name: 'aws', regions: /^/, suffix: 'amazonaws.com', dualStackSuffix: 'on.aws' };

/** The first whose regions match. */
const partitions: readonly Partition[] = [
  {
    name: 'aws-cn',
    regions: /^cn-/,
    suffix: 'amazonaws.com.cn',
    dualStackSuffix: 'on.amazonwebservices.com.cn',
  },
  // Uses the commercial partition's suffixes.
  { ...commercial, name: 'aws-us-gov', regions: /^us-gov-/ },
  { name: 'aws-iso-b', regions: /^us-isob-/, suffix: 'sc2s.sgov.gov' },
  { name: 'aws-iso-f', regions: /^us-isof-/, suffix: 'csp.hci.ic.gov' },
  { name: 'aws-iso', regions: /^us-iso-/, suffix: 'c2s.ic.gov' },
  { name: 'aws-iso-e', regions: /^eu-isoe-/, suffix: 'cloud.adc-e.uk' },
  { name: 'aws-eusc', regions: /^eusc-/, suffix: 'amazonaws.eu' },
];

const ecrPattern =
  /^[0-9]+\.dkr[.-]ecr(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/;

/** The host in the names of the registry's images, and all its other hosts. */
export function ecrHosts({
  accountId,
  region,
  endpoint = 'standard',
}: {
  readonly accountId: string;
  readonly region: string;
  readonly endpoint?: EcrEndpoint;
}): EcrHosts {
  const { suffix, dualStackSuffix } = partition(region);
  const hosts: Readonly<Record<EcrEndpoint, string | undefined>> = {
    standard: `${accountId}.dkr.ecr.${region}.${suffix}`,
    fips: `${accountId}.dkr.ecr-fips.${region}.${suffix}`,
    'dual-stack': dualStackSuffix && `${accountId}.dkr-ecr.${region}.${dualStackSuffix}`,
    'fips-dual-stack': dualStackSuffix && `${accountId}.dkr-ecr-fips.${region}.${dualStackSuffix}`,
  };
  const host = hosts[endpoint] ?? hosts.standard ?? '';
  const all = Object.values(hosts).filter((other) => other !== undefined);
  return { host, aliases: all.filter((other) => other !== host) };
}

/** Whether the region's partition has hosts that also answer over IPv6. */
export function hasDualStack(region: string): boolean {
  return partition(region).dualStackSuffix !== undefined;
}

/** `aws`, `aws-cn`, …: the second part of ARNs. */
export function partitionOf(region: string): string {
  return partition(region).name;
}

function partition(region: string): Partition {
  return partitions.find(({ regions }) => regions.test(region)) ?? commercial;
}

/** Whether the host is a private ECR registry's, for any account and region. */
export function isEcrHost(host: string): boolean {
  return ecrPattern.test(host);
}
