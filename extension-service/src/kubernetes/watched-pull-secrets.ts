import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import { DockerConfigSource } from '../credentials/docker-config-source.js';
import type { FollowObjects } from './watch/follow-objects.js';
import { ObjectStore } from './watch/object-store.js';

/** The types of Secrets that the kubelet pulls with, and the key that each has its Docker config under. */
export const PULL_SECRET_TYPES: ReadonlyMap<string, string> = new Map([
  ['kubernetes.io/dockerconfigjson', '.dockerconfigjson'],
  ['kubernetes.io/dockercfg', '.dockercfg'],
]);

export interface WatchedPullSecretsOptions {
  readonly follow: FollowObjects;
  /** Told of a Docker config that cannot be read. */
  readonly onProblem: (message: string) => void;
  /** A Secret came or changed, or a ServiceAccount names it from now on. */
  readonly onRotated: (namespace: string, name: string) => void;
}

/**
 * The cluster's registry credentials as they are now: the Secrets of the two types, which are asked for by type so that
 * no other Secret is ever read, and of ServiceAccounts the names of their pull secrets.
 */
export class WatchedPullSecrets {
  private readonly secrets: readonly ObjectStore<DockerConfigSource>[];
  private readonly accounts: ObjectStore<readonly string[]>;

  constructor(private readonly options: WatchedPullSecretsOptions) {
    const { onProblem, onRotated } = options;
    this.secrets = [...PULL_SECRET_TYPES.values()].map(
      (key) =>
        new ObjectStore({
          project: ({ data }, namespace, name) => {
            const encoded = isObject(data) ? data[key] : undefined;
            if (typeof encoded !== 'string') return undefined;
            const text = (): string => Buffer.from(encoded, 'base64').toString('utf8');
            return new DockerConfigSource(`Secret ${namespace}/${name}`, text, onProblem);
          },
          onChange: onRotated,
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

  /** Whether {@link secret} knows all Secrets. */
  get knowsSecrets(): boolean {
    return this.secrets.every(({ synced }) => synced);
  }

  /** Whether {@link accountSecretNames} knows all ServiceAccounts. */
  get knowsAccounts(): boolean {
    return this.accounts.synced;
  }

  secret(namespace: string, name: string): DockerConfigSource | undefined {
    for (const store of this.secrets) {
      const found = store.get(namespace, name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  accountSecretNames(namespace: string, name: string): readonly string[] {
    return this.accounts.get(namespace, name) ?? [];
  }
}

/** The pull secrets that a ServiceAccount names. */
function pullSecretNames({ imagePullSecrets }: JsonObject): string[] {
  if (!Array.isArray(imagePullSecrets)) return [];
  return imagePullSecrets.flatMap((entry) => {
    const name = isObject(entry) ? entry['name'] : undefined;
    return typeof name === 'string' && name !== '' ? [name] : [];
  });
}
