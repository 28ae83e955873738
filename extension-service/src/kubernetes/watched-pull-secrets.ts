import { createHash } from 'node:crypto';
import { isObject } from '../core/decide/pod.js';
import { MAX_CONFIG_BYTES } from '../credentials/docker-config.js';
import { DockerConfigSource } from '../credentials/docker-config-source.js';
import type { FollowObjects } from './watch/follow-objects.js';
import { ObjectStore } from './watch/object-store.js';

/** The types of Secrets that the kubelet pulls with, and the key that contains the Docker config. */
export const PULL_SECRET_TYPES: ReadonlyMap<string, string> = new Map([
  ['kubernetes.io/dockerconfigjson', '.dockerconfigjson'],
  ['kubernetes.io/dockercfg', '.dockercfg'],
]);

export interface WatchedPullSecretsOptions {
  readonly follow: FollowObjects;
  /** Called for unreadable Docker configs, and for dropped objects. */
  readonly onProblem: (message: string) => void;
  /** A Secret was created or changed, or a ServiceAccount now names it. */
  readonly onRotated: (namespace: string, name: string) => void;
  /** Maximum bytes of the Secrets of one type, and of ServiceAccounts. @default 33554432 */
  readonly most?: number;
}

interface WatchedSecret {
  readonly config: DockerConfigSource;
  /** Digest of the content, which itself is not kept. */
  readonly digest: string;
  readonly size: number;
}

/** Maximum bytes of each kind: fifteen thousand Secrets of 2 KiB. */
export const MAX_BYTES = 32 * 1_024 * 1_024;
/** Maximum pull secrets of a Pod or ServiceAccount that are used. */
export const MAX_NAMES = 50;
/** The longest name that a Secret can have. */
const MAX_NAME_LENGTH = 253;
/** Maximum dropped objects that are logged by name. */
const MAX_REPORTED = 100;

/**
 * The cluster's current registry credentials: the Secrets of the two types, requested by type so that no other Secret
 * is ever read, and the names of ServiceAccounts' pull secrets.
 */
export class WatchedPullSecrets {
  private readonly secrets: readonly ObjectStore<WatchedSecret>[];
  private readonly accounts: ObjectStore<readonly string[]>;
  private readonly loggedProblems = new Set<string>();

  constructor(private readonly options: WatchedPullSecretsOptions) {
    const { onRotated, most = MAX_BYTES } = options;
    this.secrets = [...PULL_SECRET_TYPES.values()].map(
      (key) =>
        new ObjectStore<WatchedSecret>({
          project: ({ data }, namespace, name) => this.read(isObject(data) ? data[key] : undefined, namespace, name),
          same: (secret, before) => secret.digest === before.digest,
          onChange: (namespace, name) => onRotated(namespace, name),
          bound: { size: ({ size }) => size, maxItems: most },
          onDropped: (namespace, name) => this.logOmitted(`Secret ${namespace}/${name}`),
        }),
    );
    this.accounts = new ObjectStore<readonly string[]>({
      project: (account) => {
        const names = pullSecretNames(account);
        return names.length === 0 ? undefined : names;
      },
      onChange: (namespace, _, names, before) => {
        for (const name of names) if (before?.includes(name) !== true) onRotated(namespace, name);
      },
      bound: { size: (names) => names.join().length, maxItems: most },
      onDropped: (namespace, name) => this.logOmitted(`ServiceAccount ${namespace}/${name}`),
    });
  }

  /** Until `signal` aborts. */
  start(signal: AbortSignal): void {
    const { follow } = this.options;
    const types = [...PULL_SECRET_TYPES.keys()];
    for (const [index, store] of this.secrets.entries()) {
      follow('/api/v1/secrets', { fieldSelector: `type=${types[index] ?? ''}` }, store, signal);
    }
    follow('/api/v1/serviceaccounts', {}, this.accounts, signal);
  }

  /** The content of such a Secret, if the cluster has it; undefined if it must be read by name. */
  secret(namespace: string, name: string): { readonly config: DockerConfigSource | undefined } | undefined {
    if (!this.secrets.every(({ synced }) => synced)) return undefined;
    for (const store of this.secrets) {
      const found = store.get(namespace, name);
      if (found !== undefined) return found;
    }
    return this.secrets.every(({ complete }) => complete) ? { config: undefined } : undefined;
  }

  /** Undefined if they must be read by name. */
  accountSecretNames(namespace: string, name: string): readonly string[] | undefined {
    const { synced, complete } = this.accounts;
    if (!synced) return undefined;
    return this.accounts.get(namespace, name) ?? (complete ? [] : undefined);
  }

  private read(encoded: unknown, namespace: string, name: string): WatchedSecret | undefined {
    if (typeof encoded !== 'string') return undefined;
    const title = `Secret ${namespace}/${name}`;
    if (isTooLong(encoded)) {
      this.logOnce(`${title}: is larger than 1 MiB and is ignored`);
      return undefined;
    }
    const text = (): string => Buffer.from(encoded, 'base64').toString('utf8');
    return {
      config: new DockerConfigSource(title, text, this.options.onProblem),
      digest: createHash('sha256').update(encoded).digest('base64'),
      size: encoded.length,
    };
  }

  private logOmitted(title: string): void {
    this.logOnce(`${title}: is not cached, because the cache is full; it is read when a Pod needs it`);
  }

  private logOnce(problem: string): void {
    if (this.loggedProblems.has(problem) || this.loggedProblems.size > MAX_REPORTED) return;
    this.loggedProblems.add(problem);
    this.options.onProblem(
      this.loggedProblems.size > MAX_REPORTED
        ? 'further Secrets and ServiceAccounts are ignored without a message'
        : problem,
    );
  }
}

/** Digest of the content of a Secret, in base64. */
export function isTooLong(encoded: string): boolean {
  return encoded.length > Math.ceil(MAX_CONFIG_BYTES / 3) * 4;
}

/** The pull secrets that a ServiceAccount names. */
export function pullSecretNames({ imagePullSecrets }: { readonly imagePullSecrets?: unknown }): string[] {
  if (!Array.isArray(imagePullSecrets)) return [];
  const names = imagePullSecrets.flatMap((entry: unknown) => {
    const name = isObject(entry) ? entry['name'] : undefined;
    return typeof name === 'string' && name !== '' && name.length <= MAX_NAME_LENGTH ? [name] : [];
  });
  return [...new Set(names)].slice(0, MAX_NAMES);
}
