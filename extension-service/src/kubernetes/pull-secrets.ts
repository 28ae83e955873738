import type { DockerConfigDocument } from '../credentials/keychain.js';
import type { PullContext } from '../mirror/job.js';
import type { ClusterAccess } from './api.js';

/** Reads the registry credentials that a Pod could pull with. */
export interface PullSecrets {
  /**
   * The Pod's own pull secrets first, then its ServiceAccount's, as the kubelet orders them. What may not be read or does not exist is left out and told to `onProblem`.
   */
  forPod(context: PullContext): Promise<readonly DockerConfigDocument[]>;
  /** One named Secret. @throws Error when it cannot be read or holds no registry credentials */
  named(name: string, namespace?: string): Promise<string>;
}

export interface PullSecretsOptions {
  readonly onProblem: (message: string) => void;
  /** Milliseconds that a Pod's Secrets are kept. @default 30000 */
  readonly life?: number;
  readonly now?: () => number;
}

/** Milliseconds that a Secret of the configuration is kept: there are few of them, and a rotated one is to be in force soon. */
const NAMED_LIFE = 3_000;

/** From the API server; each Secret and ServiceAccount is kept a while, so that many copies cost few requests. */
export class ClusterPullSecrets implements PullSecrets {
  private readonly cache = new Map<string, { until: number; value: Promise<unknown> }>();

  constructor(
    private readonly cluster: ClusterAccess,
    private readonly options: PullSecretsOptions,
  ) {}

  async forPod({ namespace, serviceAccount, secretNames }: PullContext): Promise<readonly DockerConfigDocument[]> {
    if (namespace === '') return [];
    const fromAccount = await this.accountSecretNames(namespace, serviceAccount);
    const names = [...new Set([...secretNames, ...fromAccount])];
    const documents = await Promise.all(
      names.map(async (name) => {
        try {
          return {
            origin: `Secret ${namespace}/${name}`,
            text: await this.read(name, namespace, this.options.life ?? 30_000),
          };
        } catch (error) {
          this.options.onProblem(error instanceof Error ? error.message : String(error));
          return undefined;
        }
      }),
    );
    return documents.filter((document) => document !== undefined);
  }

  named(name: string, namespace = this.cluster.namespace): Promise<string> {
    return this.read(name, namespace, NAMED_LIFE);
  }

  private read(name: string, namespace: string, life: number): Promise<string> {
    return this.cached(`secret ${namespace}/${name} for ${life}`, life, async () => {
      const secret = await explain(
        `Secret ${namespace}/${name}`,
        this.cluster.core.readNamespacedSecret({ name, namespace }),
      );
      const document = dockerConfig(secret.data ?? {});
      if (document === undefined) {
        throw new Error(`Secret ${namespace}/${name}: holds neither .dockerconfigjson nor .dockercfg`);
      }
      return document;
    });
  }

  private async accountSecretNames(namespace: string, name: string): Promise<readonly string[]> {
    try {
      return await this.cached(`serviceaccount ${namespace}/${name}`, this.options.life ?? 30_000, async () => {
        const request = this.cluster.core.readNamespacedServiceAccount({ name, namespace });
        const account = await explain(`ServiceAccount ${namespace}/${name}`, request);
        return (account.imagePullSecrets ?? []).flatMap((secret) => (secret.name === undefined ? [] : [secret.name]));
      });
    } catch (error) {
      this.options.onProblem(error instanceof Error ? error.message : String(error));
      return [];
    }
  }

  /** Failures are kept as well: a missing Secret must not cost a request per copy. */
  private cached<T>(key: string, life: number, load: () => Promise<T>): Promise<T> {
    const now = (this.options.now ?? Date.now)();
    const known = this.cache.get(key);
    if (known !== undefined && known.until > now) return known.value as Promise<T>;
    for (const [old, { until }] of this.cache) if (until <= now) this.cache.delete(old);
    const value = load();
    this.cache.set(key, { until: now + life, value });
    return value;
  }
}

/** The document of a Secret of either type for registry credentials. */
function dockerConfig(data: Readonly<Record<string, string>>): string | undefined {
  const encoded = data['.dockerconfigjson'] ?? data['.dockercfg'];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
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
    const reason =
      typeof code === 'number' ? `status ${code}` : error instanceof Error ? error.message.slice(0, 200) : '';
    throw new Error(`${what}: the API server did not give it: ${reason}`, { cause: error });
  }
}
