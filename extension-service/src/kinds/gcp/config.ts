export interface GcpConfig {
  readonly location: string;
  readonly projectId: string;
  /** '' if the target's `paths` name repositories of the project. */
  readonly repositoryId: string;
  /** E-mail address of the service account to impersonate for all requests to this registry. */
  readonly serviceAccount?: string;
  /** A file with Google credentials of any type, instead of Application Default Credentials. */
  readonly credentialsFile?: string;
  /** host[:port] of Artifact Registry's API, if it is not Google's own. */
  readonly endpoint?: string;
  /** Create the repository if it does not exist when an image is pushed. */
  readonly createRepository: boolean;
  /** Whether an existing repository with different settings gets the configured ones. */
  readonly reconcilePolicies: boolean;
  /** Omitted settings do not change. */
  readonly repository: GcpRepositorySettings;
  /** Absent: no change. */
  readonly cleanupPolicies?: readonly GcpCleanupPolicy[];
  /** Cleanup policies only log to the audit log what they would delete. */
  readonly cleanupDryRun: boolean;
  /** IAM members that may pull: `serviceAccount:NAME@PROJECT.iam.gserviceaccount.com`. */
  readonly readers: readonly string[];
}

export interface GcpRepositorySettings {
  readonly description?: string;
  readonly labels: readonly { readonly key: string; readonly value: string }[];
  /** Full name; only for new repositories. */
  readonly kmsKey?: string;
  readonly immutableTags?: boolean;
  readonly vulnerabilityScanning?: 'inherited' | 'disabled';
}

/** One of `condition` and `mostRecentVersions` is set. */
export interface GcpCleanupPolicy {
  readonly name: string;
  readonly action: 'delete' | 'keep';
  readonly condition?: {
    readonly tagState: 'any' | 'tagged' | 'untagged';
    readonly tagPrefixes: readonly string[];
    readonly packagePrefixes: readonly string[];
    readonly versionPrefixes: readonly string[];
    readonly olderThan?: number;
    readonly newerThan?: number;
  };
  readonly mostRecentVersions?: { readonly keepCount: number; readonly packagePrefixes: readonly string[] };
}
