import { quoteInput } from '../core/image/quote.js';
import type { ConfigurationOptions, V1Secret } from '@kubernetes/client-node';
import { DockerConfigSource } from '../credentials/docker-config-source.js';
import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';
import { MAX_BYTES, PULL_SECRET_TYPES, isTooLong, pullSecretNames } from './watched-pull-secrets.js';

export interface SecretReadsOptions {
  readonly onProblem: (message: string) => void;
  /** Milliseconds for which a Pod's Secrets are cached. @default 30000 */
  readonly life?: number;
  /** Maximum bytes to cache. @default 33554432 */
  readonly most?: number;
  /** Time limit in milliseconds for one read. @default 15000 */
  readonly deadline?: number;
  readonly now?: () => number;
}

/**
 * Milliseconds for which a Secret of the configuration is cached: there are few of them, and rotations must take effect
 * soon.
 */
const NAMED_LIFETIME_MS = 3_000;
/** Names come from Pods, so their number is unlimited. */
const MAX_REMEMBERED = 10_000;

interface SecretRead {
  readonly until: number;
  readonly value: Promise<unknown>;
  /** Known after it was read. */
  size: number;
}

/** Secrets and ServiceAccounts by name from the API server, cached, so that many copies cost few requests. */
export class SecretReads {
  private readonly cache = new Map<string, SecretRead>();
  private size = 0;

  constructor(
    private readonly cluster: ClusterAccess,
    private readonly options: SecretReadsOptions,
  ) {}

  /** A Secret of one of the types that the kubelet pulls with. @throws Error with its name */
  async pullSecret(namespace: string, name: string): Promise<DockerConfigSource> {
    checkNames('Secret', namespace, name);
    return this.cached(`pull ${namespace}/${name}`, this.options.life ?? 30_000, async () => {
      const secret = await this.secret(namespace, name);
      const encoded = secret.data?.[PULL_SECRET_TYPES.get(secret.type ?? '') ?? ''];
      if (encoded === undefined) {
        const types = [...PULL_SECRET_TYPES.keys()].join(' nor ');
        throw new Error(`Secret ${namespace}/${name}: is neither of type ${types}`);
      }
      checkLength(encoded, `Secret ${namespace}/${name}`);
      const text = (): string => decode(encoded);
      const value = new DockerConfigSource(`Secret ${namespace}/${name}`, text, this.options.onProblem);
      return { value, size: encoded.length };
    });
  }

  /** Names of the pull secrets of a ServiceAccount. @throws Error with its name */
  async accountSecretNames(namespace: string, name: string): Promise<readonly string[]> {
    checkNames('ServiceAccount', namespace, name);
    return this.cached(`account ${namespace}/${name}`, this.options.life ?? 30_000, async () => {
      const request = this.cluster.core.readNamespacedServiceAccount({ name, namespace }, await this.call());
      const account = await explain(`ServiceAccount ${namespace}/${name}`, request);
      const value = pullSecretNames(account);
      return { value, size: value.join().length };
    });
  }

  /** The Docker config of a Secret of any type. @throws Error if it cannot be read or contains none */
  async dockerConfig(namespace: string, name: string): Promise<string> {
    checkNames('Secret', namespace, name);
    return this.cached(`named ${namespace}/${name}`, NAMED_LIFETIME_MS, async () => {
      const { data = {} } = await this.secret(namespace, name);
      const encoded = data['.dockerconfigjson'] ?? data['.dockercfg'];
      if (encoded === undefined) {
        throw new Error(`Secret ${namespace}/${name}: holds neither .dockerconfigjson nor .dockercfg`);
      }
      checkLength(encoded, `Secret ${namespace}/${name}`);
      return { value: decode(encoded), size: encoded.length };
    });
  }

  /** The text of one key. @throws Error when it cannot be read or is missing */
  async key(namespace: string, name: string, key: string): Promise<string> {
    checkNames('Secret', namespace, name);
    const { data = {} } = await this.secret(namespace, name);
    const encoded = data[key];
    if (encoded === undefined) throw new Error(`Secret ${namespace}/${name}: does not have the key ${key}`);
    checkLength(encoded, `Secret ${namespace}/${name}`);
    return decode(encoded);
  }

  private async secret(namespace: string, name: string): Promise<V1Secret> {
    const request = this.cluster.core.readNamespacedSecret({ name, namespace }, await this.call());
    return explain(`Secret ${namespace}/${name}`, request);
  }

  private call(): Promise<ConfigurationOptions> {
    return callOptions(undefined, this.options.deadline);
  }

  /** Failures are also cached: a missing Secret must not cost a request per copy. */
  private cached<T>(key: string, life: number, load: () => Promise<{ value: T; size: number }>): Promise<T> {
    const now = (this.options.now ?? Date.now)();
    const known = this.cache.get(key);
    if (known !== undefined && known.until > now) return known.value as Promise<T>;
    for (const [old, { until }] of this.cache) if (until <= now) this.forget(old);
    if (this.cache.size >= MAX_REMEMBERED) this.forgetOldest();
    const loading = load();
    const value = loading.then((loaded) => loaded.value);
    const read: SecretRead = { until: now + life, value, size: 0 };
    this.cache.set(key, read);
    loading.then(
      ({ size }) => this.cache.get(key) === read && this.grow(read, size),
      () => undefined,
    );
    return value;
  }

  private grow(read: SecretRead, size: number): void {
    read.size = size;
    this.size += size;
    while (this.size > (this.options.most ?? MAX_BYTES)) this.forgetOldest();
  }

  private forgetOldest(): void {
    const [oldest] = this.cache.keys();
    if (oldest !== undefined) this.forget(oldest);
  }

  private forget(key: string): void {
    this.size -= this.cache.get(key)?.size ?? 0;
    this.cache.delete(key);
  }
}

const LABEL = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
/** RFC 1123, the API server's limits: 63 characters for a namespace, 253 for the others. */
const NAMESPACE = new RegExp(`^(?=.{1,63}$)${LABEL}$`);
const NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);

/** The names become segments of an API path, where `..` and `/` would name another object. */
function checkNames(kind: string, namespace: string, name: string): void {
  if (NAMESPACE.test(namespace) && NAME.test(name)) return;
  throw new Error(`${kind} ${quoteInput(`${namespace}/${name}`)}: not valid names of Kubernetes objects`);
}

function checkLength(encoded: string, what: string): void {
  if (isTooLong(encoded)) throw new Error(`${what}: is larger than 1 MiB and is ignored`);
}

function decode(encoded: string): string {
  return Buffer.from(encoded, 'base64').toString('utf8');
}

/** The client's errors contain the whole response; users need the object and the status. */
async function explain<T>(what: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 404) throw new Error(`${what}: does not exist`, { cause: error });
    if (code === 401 || code === 403) {
      throw new Error(`${what}: not allowed to read it (${code}); grant the service the verb get on it`, {
        cause: error,
      });
    }
    if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
      throw new Error(`${what}: the API server did not respond in time`, { cause: error });
    }
    const reason =
      typeof code === 'number' ? `status ${code}` : error instanceof Error ? error.message.slice(0, 200) : '';
    throw new Error(`${what}: the API server did not return it: ${reason}`, { cause: error });
  }
}
