import type { AwsConfig } from './config.js';
import { RenewedLogin } from '../../credentials/renewed-login.js';
import type { RegistryClient } from '../../registry/client.js';
import type { RequestPacer } from '../../registry/pacer.js';
import { isTargetName } from '../cloud.js';
import type { ArchivedImage, CloudOptions, CloudRegistry, PushRequests } from '../cloud.js';
import type { Probe, ProbedUses } from '../probe.js';
import { archivedImage, archives } from './archived-image.js';
import { loadAwsClients } from './clients.js';
import type { AwsClients } from './clients.js';
import { ecrCovers, ecrHost } from './hosts.js';
import { ecrLogin } from './login.js';
import { ecrNames } from './names.js';
import { PolicyKeeper } from './policy-keeper.js';
import { probeEcr } from './probe.js';
import { quotaTime } from './quotas.js';
import type { QuotaPool } from './quotas.js';
import { EcrRepositories } from './repositories.js';
import { PolicySweep } from './sweep.js';
import { messageOf } from '../../util/message-of.js';

/** Milliseconds before the first check for drifted policies, and between two checks. */
const SWEEP = { first: 15_000, interval: 1_800_000 };
const SETTLE_TIMEOUT_MS = 15_000;

/** A registry of Amazon ECR: its login, its repositories and their policies, its quotas. */
export class EcrRegistry implements CloudRegistry {
  readonly covers: CloudRegistry['covers'];
  readonly login: RenewedLogin;
  readonly repositories: EcrRepositories;
  readonly pacer: RequestPacer;
  readonly #keeper: PolicyKeeper;
  readonly #sweep: PolicySweep;
  #clients: Promise<AwsClients> | undefined;

  /** `registry` is `target NAME` or `source HOST`. */
  constructor(
    private readonly aws: AwsConfig,
    private readonly registry: string,
    private readonly options: CloudOptions & { readonly quotas: QuotaPool },
  ) {
    const { onEvent, quotas } = options;
    const host = ecrHost(aws);
    const names = ecrNames(aws);
    const clients = (): Promise<AwsClients> => this.#load();
    this.covers = ecrCovers(aws);
    this.login = new RenewedLogin(async () => ecrLogin(aws, host, await clients()), {
      onRenewed: ({ expires }) => onEvent({ kind: 'login', registry, outcome: 'renewed', expires }),
      onFailed: (error) => {
        const message = `${registry}: ${messageOf(error)}`;
        onEvent({ kind: 'login', registry, outcome: 'failed', message });
      },
    });
    this.pacer = quotas.pacer(aws);
    const shared = { aws, registry, host, names, clients, onEvent };
    this.#keeper = new PolicyKeeper(shared);
    this.repositories = new EcrRepositories({ ...shared, keeper: this.#keeper });
    this.#sweep = new PolicySweep({ ...shared, keeper: this.#keeper, ...SWEEP });
  }

  start(pushes: boolean): void {
    if (!isTargetName(this.registry)) return;
    this.login.get().catch(() => undefined);
    if (pushes) void this.#sweep.run();
  }

  async probe(signal: AbortSignal, client: RegistryClient, uses: ProbedUses): Promise<readonly Probe[]> {
    const { aws, registry } = this;
    const isTarget = isTargetName(registry) && uses.pushes;
    return probeEcr({
      ...{ aws, registry, isTarget, client, signal },
      deletes: isTarget && uses.deletes,
      clients: () => this.#load(),
    });
  }

  async findArchived(
    host: string,
    repository: string,
    reference: string,
    signal: AbortSignal,
  ): Promise<ArchivedImage | undefined> {
    if (this.aws.public === true || !this.covers(host, repository)) return undefined;
    try {
      return await archivedImage(await this.#load(), this.aws, repository, reference, signal);
    } catch {
      return undefined;
    }
  }

  get archives(): boolean {
    return archives(this.aws.ecrOptions.lifecyclePolicy);
  }

  estimate(requests: PushRequests): { readonly milliseconds: number; readonly limitedBy: string } {
    return quotaTime(this.aws.quotas, requests);
  }

  async settled(): Promise<void> {
    await this.#keeper.settled(SETTLE_TIMEOUT_MS);
  }

  stop(): void {
    this.login.stop();
    this.#keeper.stop();
    this.#sweep.stop();
  }

  #load(): Promise<AwsClients> {
    this.#clients ??= loadAwsClients(this.aws, this.options.env);
    // A proxy or file that cannot be used may be fixed later, so a failed load is retried.
    this.#clients.catch(() => (this.#clients = undefined));
    return this.#clients;
  }
}
