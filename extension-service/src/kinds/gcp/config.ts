export interface GcpConfig {
  readonly location: string;
  readonly projectId: string;
  /** '' where the target's `paths` name repositories of the project. */
  readonly repositoryId: string;
  /** E-mail of the service account that is impersonated for everything at this registry. */
  readonly serviceAccount?: string;
  /** A file with Google credentials of any type, instead of Application Default Credentials. */
  readonly credentialsFile?: string;
  /** host[:port] of Artifact Registry's API where it is not Google's own. */
  readonly endpoint?: string;
  /** Create the repository if it does not exist when an image is pushed. */
  readonly createRepository: boolean;
  /** Whether a repository that is there gets the configured settings when it has others. */
  readonly reconcilePolicies: boolean;
  /** Settings that are not given are left as they are. */
  readonly repository: GcpRepositorySettings;
  /** Absent: left as they are. */
  readonly cleanupPolicies?: readonly GcpCleanupPolicy[];
  /** Cleanup policies only write what they would delete into the audit log. */
  readonly cleanupDryRun: boolean;
  /** IAM members that may pull: `serviceAccount:NAME@PROJECT.iam.gserviceaccount.com`. */
  readonly readers: readonly string[];
}

export interface GcpRepositorySettings {
  readonly description?: string;
  readonly labels: readonly { readonly key: string; readonly value: string }[];
  /** Full name; can be given to new repositories only. */
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
