import type { GcpConfig } from './config.js';
import type { RenewedLogin } from '../../credentials/renewed-login.js';
import type { RegistryClient } from '../../registry/client.js';
import type { PasswordCredentials } from '../../registry/types.js';
import { isTargetName } from '../cloud.js';
import type { CloudOptions, CloudRegistry } from '../cloud.js';
import type { Probe, ProbedUses } from '../probe.js';
import { accessToken } from './auth.js';
import type { AccessToken } from './access-token.js';
import { artifactRegistryCovers, artifactRegistryOwns, artifactRegistryPlace } from './hosts.js';
import { googleLogin } from './login.js';
import { probeArtifactRegistry } from './probe.js';
import { GcpRepositories } from './repositories.js';
import { RepositoryApi } from './repository-api.js';
import { SettingsKeeper } from './settings-keeper.js';

/** Time limit in milliseconds for background work when a command ends. */
const SETTLE_TIMEOUT_MS = 15_000;

/** A repository of Google Artifact Registry: its login, its creation, its settings. */
export class ArtifactRegistry implements CloudRegistry {
  readonly covers: CloudRegistry['covers'];
  readonly owns: CloudRegistry['covers'];
  readonly login: RenewedLogin<PasswordCredentials>;
  readonly repositories: GcpRepositories;
  readonly #api: RepositoryApi;
  readonly #keeper: SettingsKeeper;
  readonly #isTarget: boolean;
  #quotaProject: string | undefined;

  /** `registry` is `target NAME` or `source HOST/PATH`. */
  constructor(
    private readonly gcp: GcpConfig,
    private readonly registry: string,
    options: CloudOptions,
  ) {
    const { onEvent, env } = options;
    const { host } = artifactRegistryPlace(gcp);
    this.#isTarget = isTargetName(registry);
    this.covers = artifactRegistryCovers(gcp, this.#isTarget);
    this.owns = artifactRegistryOwns(gcp);
    const obtain = async (): Promise<AccessToken> => {
      const token = await accessToken(gcp, host, env);
      this.#quotaProject = token.quotaProject;
      return token;
    };
    this.login = googleLogin(registry, obtain, onEvent);
    this.#api = new RepositoryApi({ gcp, host, env, token: () => this.#token() });
    this.#keeper = new SettingsKeeper({ gcp, registry, api: this.#api, onEvent });
    this.repositories = new GcpRepositories({ gcp, registry, api: this.#api, keeper: this.#keeper, onEvent });
  }

  start(pushes: boolean): void {
    if (!this.#isTarget) return;
    this.login.get().catch(() => undefined);
    if (pushes && this.gcp.repositoryId !== '') void this.#keeper.run();
  }

  async probe(signal: AbortSignal, _client: RegistryClient, uses: ProbedUses): Promise<readonly Probe[]> {
    const { gcp, registry, login } = this;
    const isTarget = this.#isTarget && uses.pushes;
    const deletes = this.#isTarget && uses.deletes;
    return probeArtifactRegistry({ gcp, registry, isTarget, deletes, login, api: this.#api, signal });
  }

  async settled(): Promise<void> {
    await this.#keeper.settled(SETTLE_TIMEOUT_MS);
  }

  stop(): void {
    this.login.stop();
    this.#keeper.stop();
    this.#api.stop();
  }

  /** API calls use the registry's login: one token, renewed in one place. */
  async #token(): Promise<AccessToken> {
    const { credentials, expires } = await this.login.get();
    const quotaProject = this.#quotaProject;
    return { token: credentials.password, expires, ...(quotaProject !== undefined && { quotaProject }) };
  }
}
