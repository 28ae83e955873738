import type { SecretReaderConfig } from '../core/config/model.js';
import type { PullContext } from '../core/decide/mirror-job.js';
import type { Keychain } from '../registry/types.js';
import { connectCluster } from './api.js';
import { ClusterPullSecrets } from './pull-secrets.js';
import type { PullSecrets, PullSecretsOptions } from './pull-secrets.js';
import { followObjects } from './watch/follow-objects.js';

export interface LazyPullSecretsOptions extends Omit<PullSecretsOptions, 'follow'> {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether the process lives long enough to watch Secrets instead of reading them. */
  readonly watch: boolean;
}

/** Connects to the cluster when the first Secret is needed; outside a cluster Pods have no secrets. */
export class LazyPullSecrets implements PullSecrets {
  private cluster: Promise<ClusterPullSecrets | undefined> | undefined;
  private reader: SecretReaderConfig;

  constructor(private readonly options: LazyPullSecretsOptions) {
    this.reader = options.reader;
  }

  /** Starts watching now, if Secrets of Pods may be read, instead of with the first Pod. */
  async start(): Promise<void> {
    if (this.reader.enabled) (await this.connect())?.start();
  }

  /** Applies from the next Pod on. */
  configure(reader: SecretReaderConfig): void {
    this.reader = reader;
    this.cluster?.then(
      (secrets) => secrets?.configure(reader),
      () => undefined,
    );
  }

  async forPod(context: PullContext): Promise<Keychain | undefined> {
    if (!this.reader.enabled) return undefined;
    return (await this.connect())?.forPod(context);
  }

  async named(name: string, namespace?: string): Promise<string> {
    const secrets = await this.connect();
    if (secrets === undefined) {
      throw new Error(`there is no cluster to read Secret ${name} from: run in a Pod, or set KUBECONFIG`);
    }
    return secrets.named(name, namespace);
  }

  /** The text of a key of a Secret in the service's namespace. @throws Error naming it */
  async key(name: string, key: string): Promise<string> {
    const secrets = await this.connect();
    if (secrets === undefined) {
      throw new Error(`there is no cluster to read Secret ${name} from: run in a Pod, or set KUBECONFIG`);
    }
    return secrets.key(name, key);
  }

  private connect(): Promise<ClusterPullSecrets | undefined> {
    this.cluster ??= this.open();
    // A broken kubeconfig may be fixed, so failures are retried.
    this.cluster.catch(() => (this.cluster = undefined));
    return this.cluster;
  }

  private async open(): Promise<ClusterPullSecrets | undefined> {
    const { env, watch, ...options } = this.options;
    const cluster = await connectCluster(env);
    if (cluster === undefined) return undefined;
    return new ClusterPullSecrets(cluster, {
      ...options,
      reader: this.reader,
      ...(watch && { follow: await followObjects(cluster.config, options.onProblem) }),
    });
  }
}
