import { RenewedLogin } from '../../credentials/renewed-login.js';
import type { RegistryClient } from '../../registry/client.js';
import { messageOf } from '../../util/message-of.js';
import { isTargetName } from '../cloud.js';
import type { CloudOptions, CloudRegistry } from '../cloud.js';
import type { Probe, ProbedUses } from '../probe.js';
import { cloudNetwork } from '../trusting-agent.js';
import type { CloudNetwork } from '../trusting-agent.js';
import type { AcrConfig } from './config.js';
import { entraToken } from './entra.js';
import { TokenExchange } from './exchange.js';
import { acrCovers, acrHost } from './hosts.js';
import { identityOf } from './identity.js';
import { acrNaming } from './naming.js';
import { probeAcr } from './probe.js';
import { missingIdentity } from './problems.js';

/** The login to an Azure registry. Repositories are created by the first push. */
export class AcrRegistry implements CloudRegistry {
  readonly covers: CloudRegistry['covers'];
  readonly login: RenewedLogin;
  readonly #network: CloudNetwork;
  readonly #exchange: TokenExchange;
  readonly #host: string;

  /** `registry` is `target NAME` or `source HOST`. */
  constructor(
    private readonly acr: AcrConfig,
    private readonly registry: string,
    private readonly options: CloudOptions,
  ) {
    const { onEvent, env } = options;
    this.#host = acrHost(acr);
    this.#network = cloudNetwork(env);
    this.#exchange = new TokenExchange(this.#host, this.#network);
    this.covers = acrCovers(acr);
    this.login = new RenewedLogin(async () => this.#logIn(), {
      onRenewed: ({ expires }) => onEvent({ kind: 'login', registry, outcome: 'renewed', expires }),
      onFailed: (error) => {
        onEvent({ kind: 'login', registry, outcome: 'failed', message: `${registry}: ${messageOf(error)}` });
      },
    });
  }

  start(): void {
    if (isTargetName(this.registry)) this.login.get().catch(() => undefined);
  }

  async probe(signal: AbortSignal, client: RegistryClient, uses: ProbedUses): Promise<readonly Probe[]> {
    const { acr, registry, login } = this;
    const isTarget = isTargetName(registry);
    const identity = identityOf(acr, this.options.env);
    const principal = 'missing' in identity ? '' : `client ${identity.clientId} of tenant ${identity.tenantId}`;
    const { path } = acrNaming.place(acr);
    const name = isTarget ? `${registry} (${this.#host})` : registry;
    return probeAcr({
      ...{ registry: name, path, principal, login, client, signal },
      isTarget: isTarget && uses.pushes,
      deletes: isTarget && uses.deletes,
    });
  }

  stop(): void {
    this.login.stop();
    this.#exchange.close();
  }

  async #logIn() {
    const identity = identityOf(this.acr, this.options.env);
    if ('missing' in identity) throw missingIdentity(this.#host, identity.missing);
    return this.#exchange.refreshToken(identity, await entraToken(this.#host, identity, this.#network));
  }
}
