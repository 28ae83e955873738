import type { ConfigurationOptions, V1Secret } from '@kubernetes/client-node';
import { DockerConfigSource } from '../credentials/docker-config-source.js';
import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';
import { PULL_SECRET_TYPES } from './watched-pull-secrets.js';

export interface SecretReadsOptions {
  readonly onProblem: (message: string) => void;
  /** Milliseconds that a Pod's Secrets are kept. @default 30000 */
  readonly life?: number;
  /** Milliseconds that one read may take. @default 15000 */
  readonly deadline?: number;
  readonly now?: () => number;
}

/** Milliseconds that a Secret of the configuration is kept: there are few of them, and a rotated one is to be in force soon. */
const NAMED_LIFE = 3_000;
/** Names come from Pods, so there may be any number. */
const MOST = 10_000;

/** Secrets and ServiceAccounts by name from the API server; each is kept a while, so that many copies cost few requests. */
export class SecretReads {
  private readonly cache = new Map<string, { until: number; value: Promise<unknown> }>();

  constructor(
    private readonly cluster: ClusterAccess,
    private readonly options: SecretReadsOptions,
  ) {}

  /** A Secret of one of the types that the kubelet pulls with. @throws Error naming it */
  pullSecret(namespace: string, name: string): Promise<DockerConfigSource> {
    return this.cached(`pull ${namespace}/${name}`, this.options.life ?? 30_000, async () => {
      const secret = await this.secret(namespace, name);
      const encoded = secret.data?.[PULL_SECRET_TYPES.get(secret.type ?? '') ?? ''];
      if (encoded === undefined) {
        const types = [...PULL_SECRET_TYPES.keys()].join(' nor ');
        throw new Error(`Secret ${namespace}/${name}: is neither of type ${types}`);
      }
      return new DockerConfigSource(`Secret ${namespace}/${name}`, () => decode(encoded), this.options.onProblem);
    });
  }

  /** Names of the pull secrets of a ServiceAccount. @throws Error naming it */
  accountSecretNames(namespace: string, name: string): Promise<readonly string[]> {
    return this.cached(`account ${namespace}/${name}`, this.options.life ?? 30_000, async () => {
      const request = this.cluster.core.readNamespacedServiceAccount({ name, namespace }, await this.call());
      const account = await explain(`ServiceAccount ${namespace}/${name}`, request);
      return (account.imagePullSecrets ?? []).flatMap((secret) => (secret.name === undefined ? [] : [secret.name]));
    });
  }

  /** The Docker config of a Secret of any type. @throws Error when it cannot be read or holds none */
  dockerConfig(namespace: string, name: string): Promise<string> {
    return this.cached(`named ${namespace}/${name}`, NAMED_LIFE, async () => {
      const { data = {} } = await this.secret(namespace, name);
      const encoded = data['.dockerconfigjson'] ?? data['.dockercfg'];
      if (encoded === undefined) {
        throw new Error(`Secret ${namespace}/${name}: holds neither .dockerconfigjson nor .dockercfg`);
      }
      return decode(encoded);
    });
  }

  private async secret(namespace: string, name: string): Promise<V1Secret> {
    const request = this.cluster.core.readNamespacedSecret({ name, namespace }, await this.call());
    return explain(`Secret ${namespace}/${name}`, request);
  }

  private call(): Promise<ConfigurationOptions> {
    return callOptions(undefined, this.options.deadline);
  }

  /** Failures are kept as well: a missing Secret must not cost a request per copy. */
  private cached<T>(key: string, life: number, load: () => Promise<T>): Promise<T> {
    const now = (this.options.now ?? Date.now)();
    const known = this.cache.get(key);
    if (known !== undefined && known.until > now) return known.value as Promise<T>;
    for (const [old, { until }] of this.cache) if (until <= now) this.cache.delete(old);
    const [oldest] = this.cache.keys();
    if (oldest !== undefined && this.cache.size >= MOST) this.cache.delete(oldest);
    const value = load();
    this.cache.set(key, { until: now + life, value });
    return value;
  }
}

function decode(encoded: string): string {
  return Buffer.from(encoded, 'base64').toString('utf8');
}

/** The client's errors carry the whole response; people need the object and the status. */
async function explain<T>(what: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 404) throw new Error(`${what}: does not exist`, { cause: error });
    if (code === 401 || code === 403) {
      throw new Error(`${what}: not allowed to read it (${code}); grant the service get on it`, { cause: error });
    }
    if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
      throw new Error(`${what}: the API server did not answer in time`, { cause: error });
    }
    const reason =
      typeof code === 'number' ? `status ${code}` : error instanceof Error ? error.message.slice(0, 200) : '';
    throw new Error(`${what}: the API server did not give it: ${reason}`, { cause: error });
  }
}
