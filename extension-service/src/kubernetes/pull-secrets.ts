import type { SecretReaderConfig } from '../core/config/model.js';
import type { DockerConfigSource } from '../credentials/docker-config-source.js';
import { chainKeychains, keyring } from '../credentials/keychain.js';
import { isNamespaceName, isObjectName } from '../core/decide/kubernetes-names.js';
import type { PullContext } from '../core/decide/mirror-job.js';
import type { Keychain } from '../registry/types.js';
import type { ClusterAccess } from './api.js';
import { SecretReads } from './secret-reads.js';
import type { FollowObjects } from './watch/follow-objects.js';
import { MAX_NAMES, WatchedPullSecrets } from './watched-pull-secrets.js';
import { messageOf } from '../util/message-of.js';

/** Reads the registry credentials that a Pod could pull with. */
export interface PullSecrets {
  /**
   * First those of the Pod's own pull secrets, then of its ServiceAccount's; undefined if it has none. Missing and
   * unreadable ones are skipped and reported to `onProblem`.
   */
  forPod(context: PullContext): Promise<Keychain | undefined>;
  /** The Docker config of one named Secret. @throws Error if it cannot be read or contains no registry credentials */
  named(name: string, namespace?: string): Promise<string>;
}

export interface PullSecretsOptions {
  readonly reader: SecretReaderConfig;
  readonly onProblem: (message: string) => void;
  /** Messages that need no action. */
  readonly onDebug?: (message: string) => void;
  /** Without it Secrets are read by name, for short-lived processes. */
  readonly follow?: FollowObjects;
  /** Maximum bytes to keep of each watched kind, and of Secrets read by name. @default 33554432 */
  readonly most?: number;
  /** Failed pulls in the namespace may work now: a Secret was created, changed, or added to a ServiceAccount. */
  readonly onRotated?: (namespace: string, name: string) => void;
  /** Milliseconds for which a Pod's Secrets are cached if they are read by name. @default 30000 */
  readonly life?: number;
  /** Time limit in milliseconds for one read by name. @default 15000 */
  readonly deadline?: number;
  readonly now?: () => number;
}

/** Maximum problems that are remembered as reported. */
const MAX_REPORTED = 1_000;

/**
 * Pull secrets from the API server. Watches Secrets and ServiceAccounts, so that a copy costs no request and a rotated Secret
 * applies immediately. Reads by name until the watches are complete, if watching is not allowed or only certain names may be
 * read, and when the cache is full.
 */
export class ClusterPullSecrets implements PullSecrets {
  private reader: SecretReaderConfig;
  private reads: SecretReads;
  private watched: WatchedPullSecrets | undefined;
  private watching = new AbortController();
  private readonly loggedProblems = new Set<string>();

  constructor(
    private readonly cluster: ClusterAccess,
    private readonly options: PullSecretsOptions,
  ) {
    this.reader = options.reader;
    this.reads = new SecretReads(cluster, options);
  }

  /**
   * Starts watching; `forPod` also does this. Not if only certain Secrets may be read: rights for names only allow
   * reading by name.
   */
  start(): void {
    const { follow, onProblem, onRotated, most } = this.options;
    const { enabled, secretNames } = this.reader;
    if (!enabled || secretNames.length > 0 || follow === undefined || this.watched !== undefined) return;
    const { signal } = this.watching;
    this.watched = new WatchedPullSecrets({
      follow,
      onProblem,
      ...(most !== undefined && { most }),
      onRotated: (namespace, name) => {
        if (!signal.aborted) onRotated?.(namespace, name);
      },
    });
    this.watched.start(signal);
  }

  /** Applies from the next Pod on. Secrets that may no longer be read are dropped. */
  configure(reader: SecretReaderConfig): void {
    if (JSON.stringify(reader) === JSON.stringify(this.reader)) return;
    const wasWatching = this.watched !== undefined;
    this.stop();
    this.watching = new AbortController();
    this.reader = reader;
    this.reads = new SecretReads(this.cluster, this.options);
    this.loggedProblems.clear();
    if (wasWatching) this.start();
  }

  /** Ends the watches. */
  stop(): void {
    this.watching.abort();
    this.watched = undefined;
  }

  async forPod({ namespace, serviceAccount, secretNames }: PullContext): Promise<Keychain | undefined> {
    // API paths contain these names.
    if (!this.reader.enabled || !isNamespaceName(namespace)) return undefined;
    this.start();
    const ofPod = this.readable(namespace, secretNames);
    const ofAccount = isObjectName(serviceAccount)
      ? this.readable(namespace, await this.accountSecretNames(namespace, serviceAccount))
      : [];
    const configs = await Promise.all([
      this.configs(namespace, ofPod),
      this.configs(
        namespace,
        ofAccount.filter((name) => !ofPod.includes(name)),
      ),
    ]);
    const keyrings = configs.filter((found) => found.length > 0).map(keyring);
    return keyrings.length === 0 ? undefined : chainKeychains(keyrings);
  }

  named(name: string, namespace = this.cluster.namespace): Promise<string> {
    return this.reads.dockerConfig(namespace, name);
  }

  /** The text of a key of a Secret in the service's namespace. */
  key(name: string, key: string): Promise<string> {
    return this.reads.key(this.cluster.namespace, name, key);
  }

  private allows(name: string): boolean {
    const { secretNames } = this.reader;
    return secretNames.length === 0 || secretNames.includes(name);
  }

  private readable(namespace: string, names: readonly string[]): string[] {
    const distinct = [...new Set(names)].filter(isObjectName);
    const ignored = distinct.filter((name) => !this.allows(name));
    if (ignored.length > 0) {
      this.options.onDebug?.(
        `not in secretReader.secretNames: ${ignored.map((name) => `${namespace}/${name}`).join(' ')}`,
      );
    }
    return distinct.filter((name) => this.allows(name)).slice(0, MAX_NAMES);
  }

  private async configs(namespace: string, names: readonly string[]): Promise<DockerConfigSource[]> {
    const found = await Promise.all(names.map((name) => this.config(namespace, name)));
    return found.filter((config) => config !== undefined);
  }

  private async config(namespace: string, name: string): Promise<DockerConfigSource | undefined> {
    const watched = this.watched?.secret(namespace, name);
    if (watched !== undefined) {
      if (watched.config === undefined)
        this.logOnce(`Secret ${namespace}/${name}: does not exist, or is not a pull secret`);
      return watched.config;
    }
    try {
      return await this.reads.pullSecret(namespace, name);
    } catch (error) {
      this.logOnce(messageOf(error));
      return undefined;
    }
  }

  private async accountSecretNames(namespace: string, name: string): Promise<readonly string[]> {
    const watched = this.watched?.accountSecretNames(namespace, name);
    if (watched !== undefined) return watched;
    try {
      return await this.reads.accountSecretNames(namespace, name);
    } catch (error) {
      this.logOnce(messageOf(error));
      return [];
    }
  }

  private logOnce(problem: string): void {
    if (this.loggedProblems.has(problem)) return;
    if (this.loggedProblems.size >= MAX_REPORTED) this.loggedProblems.clear();
    this.loggedProblems.add(problem);
    this.options.onProblem(problem);
  }
}
