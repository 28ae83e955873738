import type { DockerConfigDocument } from '../credentials/keychain.js';
import type { PullContext } from '../mirror/job.js';
import { connectCluster } from './api.js';
import { ClusterPullSecrets } from './pull-secrets.js';
import type { PullSecrets } from './pull-secrets.js';

/** Connects to the cluster when the first Secret is wanted; outside of a cluster Pods have no secrets. */
export class LazyPullSecrets implements PullSecrets {
  private cluster: Promise<PullSecrets | undefined> | undefined;

  constructor(
    private readonly env: Readonly<Record<string, string | undefined>>,
    private readonly onProblem: (message: string) => void,
  ) {}

  async forPod(context: PullContext): Promise<readonly DockerConfigDocument[]> {
    const secrets = await this.connect();
    return secrets === undefined ? [] : secrets.forPod(context);
  }

  async named(name: string, namespace?: string): Promise<string> {
    const secrets = await this.connect();
    if (secrets === undefined) {
      throw new Error(`there is no cluster to read Secret ${name} from: run in a Pod, or set KUBECONFIG`);
    }
    return secrets.named(name, namespace);
  }

  private connect(): Promise<PullSecrets | undefined> {
    this.cluster ??= connectCluster(this.env).then((cluster) =>
      cluster === undefined ? undefined : new ClusterPullSecrets(cluster, { onProblem: this.onProblem }),
    );
    // A broken kubeconfig may be mended: what failed is tried again.
    this.cluster.catch(() => (this.cluster = undefined));
    return this.cluster;
  }
}
