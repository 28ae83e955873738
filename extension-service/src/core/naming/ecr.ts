/**
 * Host names of a private ECR registry (amazon-ecr-credential-helper's pattern, which the kubelet's credential
 * provider shares): in each partition `ACCOUNT.dkr.ecr.REGION.SUFFIX`, its FIPS form `dkr.ecr-fips`, and where there
 * is a dual-stack suffix, `dkr-ecr` and `dkr-ecr-fips` under it.
 */
export interface EcrHosts {
  readonly host: string;
  readonly aliases: readonly string[];
}

interface Partition {
  readonly regions: RegExp;
  readonly suffix: string;
  readonly dualStackSuffix?: string;
}

const commercial: Partition = { regions: /^/, suffix: 'amazonaws.com', dualStackSuffix: 'on.aws' };

/** The first whose regions match; GovCloud has the commercial partition's suffixes. */
const partitions: readonly Partition[] = [
  { regions: /^cn-/, suffix: 'amazonaws.com.cn', dualStackSuffix: 'on.amazonwebservices.com.cn' },
  { regions: /^us-isob-/, suffix: 'sc2s.sgov.gov' },
  { regions: /^us-isof-/, suffix: 'csp.hci.ic.gov' },
  { regions: /^us-iso-/, suffix: 'c2s.ic.gov' },
  { regions: /^eu-isoe-/, suffix: 'cloud.adc-e.uk' },
  { regions: /^eusc-/, suffix: 'amazonaws.eu' },
];

const ecrPattern =
  /^[0-9]+\.dkr[.-]ecr(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/;

/** The registry's usual host and all its others. */
export function ecrHosts(accountId: string, region: string): EcrHosts {
  const { suffix, dualStackSuffix } = partitions.find(({ regions }) => regions.test(region)) ?? commercial;
  const aliases = [`${accountId}.dkr.ecr-fips.${region}.${suffix}`];
  if (dualStackSuffix !== undefined) {
    aliases.push(`${accountId}.dkr-ecr.${region}.${dualStackSuffix}`);
    aliases.push(`${accountId}.dkr-ecr-fips.${region}.${dualStackSuffix}`);
  }
  return { host: `${accountId}.dkr.ecr.${region}.${suffix}`, aliases };
}

/** Whether the host is a private ECR registry's, of whatever account and region. */
export function isEcrHost(host: string): boolean {
  return ecrPattern.test(host);
}
