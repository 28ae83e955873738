import type { LoginSource } from '../credentials/renewed-login.js';
import type { RegistryClient } from '../registry/client.js';
import type { RequestPacer } from '../registry/pacer.js';
import type { Keychain } from '../registry/types.js';
import type { Probe, ProbedUses } from './probe.js';

/** A configured registry of a cloud, only for logins. */
export interface CloudLogin {
  /** Whether the login may be sent to this registry (host[:port]) for this repository: its own host or an alias. */
  readonly covers: (host: string, repository: string) => boolean;
  /**
   * Whether the repository is the configured one itself. For it, this login comes before those of other registries; for
   * others it is only tried, since public images can be read without it. Absent: all that it covers is its own.
   */
  readonly owns?: (host: string, repository: string) => boolean;
  readonly login: LoginSource;
}

/** A configured registry of a cloud, with the operations of the cloud's API. Nothing is called before it is needed. */
export interface CloudRegistry extends CloudLogin {
  /** The repositories for pushes; sources are only read. */
  readonly repositories?: CloudRepositories;
  /** Waits to stay within the quotas of the registry's requests. */
  readonly pacer?: RequestPacer;
  /**
   * For `check --online`: the identity, and each missing permission, in words that an administrator can act on.
   *
   * @param uses the uses to test; if empty, only reading
   */
  probe(signal: AbortSignal, client: RegistryClient, uses: ProbedUses): Promise<readonly Probe[]>;
  /**
   * Whether the cloud's API has an image for which its registry answers 404. Undefined if it does not or does not say,
   * and for other registries. Never rejects.
   */
  findArchived?(
    host: string,
    repository: string,
    reference: string,
    signal: AbortSignal,
  ): Promise<ArchivedImage | undefined>;
  /** The configuration makes the registry archive images, so a missing one is worth a check. */
  readonly archives?: boolean;
  /** Minimum time in milliseconds for this many requests under the quotas, and the slowest quota. */
  estimate?(requests: PushRequests): { readonly milliseconds: number; readonly limitedBy: string };
  /**
   * Starts the background tasks: the first login and, if images are copied (`pushes`), checks of repositories. The
   * service calls it, commands do not.
   */
  start?(pushes: boolean): void;
  /** Resolves when background work from finished copies is done or has timed out. */
  settled?(): Promise<void>;
  /** Stops all background tasks. */
  stop(): void;
}

/** An image in a registry's archive, which cannot be pulled until it is restored. */
export interface ArchivedImage {
  readonly isBeingRestored: boolean;
  /** The words continue the image's name. */
  readonly words: string;
}

export interface CloudRepositories {
  /**
   * Called when the registry reports that it does not have the repository. Creates it, once for all concurrent callers.
   *
   * @returns true if the push should be retried
   * @throws RegistryError with the missing permission, quota or setting
   */
  create(repository: string, signal: AbortSignal | undefined): Promise<boolean>;
  /** An image was copied there or already existed: update the repository's policies in the background. */
  used(repository: string): void;
  /**
   * Deletes manifests with all their tags, an index in an earlier call than its platforms. Absent: uses the distribution
   * API.
   *
   * @throws RegistryError with the missing permission
   */
  readonly remove?: (repository: string, digests: readonly string[], signal: AbortSignal) => Promise<void>;
  /** Whether tags in the repository are immutable, as far as the configuration shows. */
  isImmutable(tag: string): boolean;
}

/** Requests of a push that quotas count. */
export interface PushRequests {
  readonly manifests: number;
  readonly blobs: number;
}

/** An event of a cloud's API, for logs and metrics. `registry` is a bounded label, see {@link isTargetName}. */
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
 * The logins of clouds' registries in the form for registry clients. For a repository, the login of the registry that
 * owns it comes first, then one of another registry that covers it: a target's before a source's. The latter may be
 * missing, as for public images without a login.
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

/** The dependencies of a kind's code. */
export interface CloudOptions {
  /** Credentials, endpoints and proxies are read from it, as in the clouds' own tools. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onEvent: (event: CloudEvent) => void;
  /** Reports problems that did not make anything fail, for users. */
  readonly report: (problem: string) => void;
  /** Number of replicas that copy and therefore share a registry's quotas. @default 1 */
  readonly replicas?: () => number;
}

/** Whether a registry with the name `target NAME`, `source HOST` or `source HOST/PATH` is a target. */
export function isTargetName(name: string): boolean {
  return name.startsWith('target ');
}
