import type { LoginSource } from '../credentials/renewed-login.js';
import type { RegistryClient } from '../registry/client.js';
import type { RequestPacer } from '../registry/pacer.js';
import type { Keychain } from '../registry/types.js';
import type { Probe, ProbedUses } from './probe.js';

/** A configured registry of a cloud, for logging in only. */
export interface CloudLogin {
  /** Whether the login may be sent to this registry (host[:port]) for this repository: its own, its aliases. */
  readonly covers: (host: string, repository: string) => boolean;
  /**
   * Whether the repository is the configured one itself. There this login comes before those of other registries; where
   * it covers more, it is only tried: what is public is read without it too. Absent: all that it covers is its own.
   */
  readonly owns?: (host: string, repository: string) => boolean;
  readonly login: LoginSource;
}

/** A configured registry of a cloud, with what the cloud's API does for it. Nothing is called before it is needed. */
export interface CloudRegistry extends CloudLogin {
  /** The repositories that pushes go to; sources are only read. */
  readonly repositories?: CloudRepositories;
  /** Waits for the quotas of the registry's requests. */
  readonly pacer?: RequestPacer;
  /**
   * For `check --online`: identity, and each permission that is missing, in words that an administrator can act on.
   *
   * @param uses what is tried; without any, only reading
   */
  probe(signal: AbortSignal, client: RegistryClient, uses: ProbedUses): Promise<readonly Probe[]>;
  /**
   * Whether the cloud's API has an image that its registry answers 404 for. Undefined when it does not, when it does not
   * say, and for another registry than this one. Never rejects.
   */
  findArchived?(
    host: string,
    repository: string,
    reference: string,
    signal: AbortSignal,
  ): Promise<ArchivedImage | undefined>;
  /** The configuration has the registry archive images, so that a missing one is worth a look. */
  readonly archives?: boolean;
  /** Milliseconds that the quotas imply for so many requests, and the quota that is the narrowest. */
  estimate?(requests: PushRequests): { readonly milliseconds: number; readonly limitedBy: string };
  /**
   * Begins what goes on beside the copies: the first login and, where images are copied (`pushes`), looks at repositories.
   * A service calls it, a command does not.
   */
  start?(pushes: boolean): void;
  /** Resolves when the work that copies left behind is done, or has had its time. */
  settled?(): Promise<void>;
  /** Ends all that goes on. */
  stop(): void;
}

/** An image that a registry keeps, and that cannot be pulled until it is restored. */
export interface ArchivedImage {
  readonly isBeingRestored: boolean;
  /** The words continue the image's name. */
  readonly words: string;
}

export interface CloudRepositories {
  /**
   * The registry says that it does not have the repository. Creates it, once however many ask.
   *
   * @returns true when the push is worth another try
   * @throws RegistryError that says which permission, quota or setting is missing
   */
  create(repository: string, signal: AbortSignal | undefined): Promise<boolean>;
  /** An image has been copied there, or was there: see to the repository's policies, in the background. */
  used(repository: string): void;
  /**
   * Deletes manifests with all their tags, an index before its platforms. Absent: by the distribution API.
   *
   * @throws RegistryError that says which permission is missing
   */
  readonly remove?: (repository: string, digests: readonly string[], signal: AbortSignal) => Promise<void>;
  /** Whether tags in the repository can't be moved, as far as the configuration says. */
  isImmutable(tag: string): boolean;
}

/** Requests of a push by what quotas count. */
export interface PushRequests {
  readonly manifests: number;
  readonly blobs: number;
}

/** An event at a cloud's API, for logs and metrics. `registry` is a bounded label, see {@link isTargetName}. */
export type CloudEvent =
  | { readonly kind: 'login'; readonly registry: string; readonly outcome: 'renewed'; readonly expires: number }
  | { readonly kind: 'login'; readonly registry: string; readonly outcome: 'failed'; readonly message: string }
  | {
      readonly kind: 'repository';
      readonly registry: string;
      readonly repository: string;
      readonly action: 'create' | 'policies';
      /** `ok`, or a class of failure. */
      readonly outcome: string;
      readonly message?: string;
    }
  /** Repositories whose policies differ from the configuration. */
  | { readonly kind: 'drift'; readonly registry: string; readonly repositories: number };

/**
 * The logins of clouds' registries as registry clients take them: for a repository, that of the registry that owns it,
 * then that of another one that covers it, a target's rather than a source's (they come
 * last). That one may be missing, as for public images when there is no login.
 */
export function cloudKeychain(clouds: readonly CloudLogin[]): Keychain {
  return {
    async resolve(host, repository) {
      const covering = clouds.filter(({ covers }) => covers(host, repository));
      const owning = covering.filter(({ owns = () => true }) => owns(host, repository));
      const other = covering.findLast((cloud) => !owning.includes(cloud));
      const own = await Promise.all(owning.map(async ({ login }) => (await login.get()).credentials));
      const more = await other?.login.get().catch(() => undefined);
      return more === undefined ? own : [...own, more.credentials];
    },
    rejected: (credentials) =>
      !('registryToken' in credentials) && clouds.map(({ login }) => login.rejected(credentials)).includes(true),
  };
}

/** The world as a kind's code sees it. */
export interface CloudOptions {
  /** Credentials, endpoints and proxies are read from it, as the clouds' own tools do. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onEvent: (event: CloudEvent) => void;
  /** For people: what went wrong without failing anything. */
  readonly report: (problem: string) => void;
  /** Replicas that copy, and so divide a registry's quotas between them. @default 1 */
  readonly replicas?: () => number;
}

/** Whether a registry with the name `target NAME`, `source HOST` or `source HOST/PATH` is a target. */
export function isTargetName(name: string): boolean {
  return name.startsWith('target ');
}
