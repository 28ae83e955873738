import type { Config } from '../core/config/model.js';
import type { ClusterAccess } from './api.js';
import { connectCluster } from './api.js';
import { leaderTasks } from './leader-tasks.js';
import { ConfigFeed } from './live-config.js';
import { CertificateSecret } from './serving-certificate/certificate-secret.js';
import { selfSigningIssuer } from './serving-certificate/issuer.js';
import type { ServingPair } from './serving-certificate/serving-certificate.js';
import { ServingCertificate } from './serving-certificate/serving-certificate.js';

export interface ClusterWorkOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onCertificate: (pair: ServingPair) => void;
  /** What keeps a replica from having a certificate. */
  readonly onCertificateProblem: (message: string) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}

/** Milliseconds before another try to connect. */
const RETRY = 3_000;

/** Whether a configuration makes the service write into the cluster. */
export function needsCluster({ tls, policies }: Config): boolean {
  return tls.mode === 'selfSigned' || policies.manage;
}

/** What the service does in the cluster besides copying; begins once a configuration wants it. */
export class ClusterWork {
  private readonly feed: ConfigFeed;
  private started = false;

  constructor(
    config: Config,
    private readonly options: ClusterWorkOptions,
  ) {
    this.feed = new ConfigFeed(config);
  }

  configure(config: Config): void {
    this.feed.set(config);
    this.start();
  }

  start(): void {
    if (this.started || !needsCluster(this.feed.current())) return;
    this.started = true;
    const { signal } = new AbortController();
    this.run(signal).catch((error: unknown) =>
      this.options.log('error', `the work in the cluster ended: ${String(error)}`),
    );
  }

  private async run(signal: AbortSignal): Promise<void> {
    const { log } = this.options;
    const cluster = await this.connect(signal);
    const certificate = this.feed.current().tls.mode === 'selfSigned' ? this.certificate(cluster) : undefined;
    const tasks = await leaderTasks({
      cluster,
      config: this.feed,
      log,
      ...(certificate !== undefined && { certificate }),
    });
    await Promise.all([certificate?.serving.run(signal), ...tasks.map((task) => task.lead(signal))]);
  }

  private certificate(cluster: ClusterAccess) {
    const { onCertificate, onCertificateProblem, log } = this.options;
    const world = {
      secret: new CertificateSecret(cluster, () => this.feed.current().tls.secretName),
      issuer: selfSigningIssuer,
      now: Date.now,
    };
    const serving = new ServingCertificate({
      ...{ world, log, onCertificate },
      config: this.feed,
      onProblem: onCertificateProblem,
    });
    return { world, serving };
  }

  private async connect(signal: AbortSignal): Promise<ClusterAccess> {
    const { env, log, onCertificateProblem } = this.options;
    for (;;) {
      try {
        const cluster = await connectCluster(env);
        if (cluster !== undefined) return cluster;
        throw new Error('there is no cluster: run in a Pod, or set KUBECONFIG');
      } catch (error) {
        const problem = `the cluster cannot be reached: ${error instanceof Error ? error.message : String(error)}`;
        log('warn', problem);
        onCertificateProblem(problem);
        await this.feed.pause(RETRY, signal);
      }
    }
  }
}
