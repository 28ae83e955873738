import type { protos } from '@google-cloud/artifact-registry';
import type { GcpCleanupPolicy, GcpConfig } from './config.js';

export type Repository = protos.google.devtools.artifactregistry.v1.IRepository;
type CleanupPolicy = protos.google.devtools.artifactregistry.v1.ICleanupPolicy;
type Duration = protos.google.protobuf.IDuration;

/** A setting of a repository that differs from the configuration. */
export interface SettingDrift {
  /** The key under `gcp`, such as `repository.immutableTags`. */
  readonly key: string;
  /** Its name in UpdateRepository; undefined for settings that can no longer be changed. */
  readonly path: string | undefined;
}

/** `projects/P/locations/L` */
export function parentName({ projectId, location }: GcpConfig): string {
  return `projects/${projectId}/locations/${location}`;
}

/** `projects/P/locations/L/repositories/R` */
export function repositoryName(gcp: GcpConfig): string {
  return `${parentName(gcp)}/repositories/${gcp.repositoryId}`;
}

/** Whether the configuration has settings for an existing repository. */
export function hasSettings({ repository, cleanupPolicies, readers }: GcpConfig): boolean {
  const { description, labels, immutableTags, vulnerabilityScanning } = repository;
  const single = [description, immutableTags, vulnerabilityScanning, cleanupPolicies];
  return single.some((value) => value !== undefined) || labels.length > 0 || readers.length > 0;
}

/** The repository's settings with the configured ones applied: labels that others set stay. */
export function desiredRepository(gcp: GcpConfig, actual: Repository = {}): Repository {
  const { description, labels, immutableTags, vulnerabilityScanning } = gcp.repository;
  return {
    ...(description !== undefined && { description }),
    ...(labels.length > 0 && {
      labels: { ...actual.labels, ...Object.fromEntries(labels.map(({ key, value }) => [key, value])) },
    }),
    ...(immutableTags !== undefined && { dockerConfig: { immutableTags } }),
    ...(vulnerabilityScanning !== undefined && {
      vulnerabilityScanningConfig: {
        enablementConfig: vulnerabilityScanning === 'disabled' ? ('DISABLED' as const) : ('INHERITED' as const),
      },
    }),
    ...(gcp.cleanupPolicies !== undefined && {
      cleanupPolicies: Object.fromEntries(gcp.cleanupPolicies.map((policy) => [policy.name, cleanupPolicy(policy)])),
      cleanupPolicyDryRun: gcp.cleanupDryRun,
    }),
  };
}

/** A repository to create: Docker, standard, with all configured settings. */
export function newRepository(gcp: GcpConfig): Repository {
  const { kmsKey } = gcp.repository;
  return {
    format: 'DOCKER',
    mode: 'STANDARD_REPOSITORY',
    ...(kmsKey !== undefined && { kmsKeyName: kmsKey }),
    ...desiredRepository(gcp),
  };
}

/** The settings that differ, in the order of the configuration; omitted settings never differ. */
export function settingsDrift(gcp: GcpConfig, actual: Repository): readonly SettingDrift[] {
  const { description, labels, kmsKey, immutableTags, vulnerabilityScanning } = gcp.repository;
  const drift: SettingDrift[] = [];
  const compare = (key: string, path: string | undefined, same: boolean): void => {
    if (!same) drift.push({ key, path });
  };
  if (description !== undefined) {
    compare('repository.description', 'description', description === (actual.description ?? ''));
  }
  const hasLabels = labels.every(({ key, value }) => actual.labels?.[key] === value);
  compare('repository.labels', 'labels', hasLabels);
  if (kmsKey !== undefined) compare('repository.kmsKey', undefined, kmsKey === actual.kmsKeyName);
  if (immutableTags !== undefined) {
    const same = immutableTags === (actual.dockerConfig?.immutableTags ?? false);
    compare('repository.immutableTags', 'docker_config', same);
  }
  if (vulnerabilityScanning !== undefined) {
    const enablement = enumName(actual.vulnerabilityScanningConfig?.enablementConfig, [
      'INHERITED',
      'INHERITED',
      'DISABLED',
    ]);
    const same = (enablement === 'DISABLED') === (vulnerabilityScanning === 'disabled');
    compare('repository.vulnerabilityScanning', 'vulnerability_scanning_config.enablement_config', same);
  }
  if (gcp.cleanupPolicies !== undefined) {
    const wanted = desiredRepository(gcp).cleanupPolicies;
    const same = canonicalPolicies(wanted) === canonicalPolicies(actual.cleanupPolicies);
    compare('cleanupPolicies', 'cleanup_policies', same);
    compare('cleanupDryRun', 'cleanup_policy_dry_run', gcp.cleanupDryRun === (actual.cleanupPolicyDryRun ?? false));
  }
  return drift;
}

function cleanupPolicy({ name, action, condition, mostRecentVersions }: GcpCleanupPolicy): CleanupPolicy {
  const base = { id: name, action: action === 'delete' ? ('DELETE' as const) : ('KEEP' as const) };
  if (mostRecentVersions !== undefined) {
    const { keepCount, packagePrefixes } = mostRecentVersions;
    return { ...base, mostRecentVersions: { keepCount, packageNamePrefixes: [...packagePrefixes] } };
  }
  if (condition === undefined) return base;
  const { tagState, tagPrefixes, packagePrefixes, versionPrefixes, olderThan, newerThan } = condition;
  return {
    ...base,
    condition: {
      tagState: TAG_STATES[tagState],
      tagPrefixes: [...tagPrefixes],
      packageNamePrefixes: [...packagePrefixes],
      versionNamePrefixes: [...versionPrefixes],
      ...(olderThan !== undefined && { olderThan: { seconds: Math.round(olderThan / 1_000) } }),
      ...(newerThan !== undefined && { newerThan: { seconds: Math.round(newerThan / 1_000) } }),
    },
  };
}

const TAG_STATES = { any: 'ANY', tagged: 'TAGGED', untagged: 'UNTAGGED' } as const;

/**
 * Equal for policies with the same effect: the API fills in defaults, and writes enums and durations in several ways.
 */
function canonicalPolicies(policies: Repository['cleanupPolicies']): string {
  const entries = Object.entries(policies ?? {}).map(([name, policy]): readonly [string, ...unknown[]] => {
    const { condition, mostRecentVersions: recent } = policy;
    return [
      name,
      enumName(policy.action, ['ACTION_UNSPECIFIED', 'DELETE', 'KEEP']),
      condition && {
        tagState: enumName(condition.tagState, ['ANY', 'TAGGED', 'UNTAGGED', 'ANY']),
        tags: [...(condition.tagPrefixes ?? [])].sort(),
        packages: [...(condition.packageNamePrefixes ?? [])].sort(),
        versions: [...(condition.versionNamePrefixes ?? [])].sort(),
        older: seconds(condition.olderThan),
        newer: seconds(condition.newerThan),
      },
      recent && { keep: recent.keepCount ?? 0, packages: [...(recent.packageNamePrefixes ?? [])].sort() },
    ];
  });
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** An enum's value as text; the library returns text or a number. The first name stands for unset. */
export function enumName(value: unknown, names: readonly string[]): string {
  if (typeof value === 'number') return names[value] ?? String(value);
  return typeof value === 'string' && !value.endsWith('_UNSPECIFIED') ? value : (names[0] ?? '');
}

function seconds(duration: Duration | null | undefined): number {
  return Number(duration?.seconds ?? 0);
}
