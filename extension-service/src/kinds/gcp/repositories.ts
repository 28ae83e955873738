import type { GcpConfig } from './config.js';
import { RegistryError } from '../../registry/errors.js';
import { untilAborted } from '../../registry/transport/abort.js';
import type { CloudEvent, CloudRepositories } from '../cloud.js';
import { artifactRegistryPlace } from './hosts.js';
import type { RepositoryApi } from './repository-api.js';
import type { SettingsKeeper } from './settings-keeper.js';
import { messageOf } from '../../util/message-of.js';

export interface GcpRepositoriesOptions {
  readonly gcp: GcpConfig;
  /** `target NAME`. */
  readonly registry: string;
  readonly api: RepositoryApi;
  readonly keeper: SettingsKeeper;
  readonly onEvent: (event: CloudEvent) => void;
  readonly now?: () => number;
}

/** How long, in milliseconds, pushes reuse the result of a creation instead of calling the API again. */
const CREATION_MEMORY_MS = 60_000;

/** The single repository of a target; the first push that finds it missing creates it, if allowed. */
export class GcpRepositories implements CloudRepositories {
  #creation: { readonly outcome: Promise<boolean>; readonly until: number } | undefined;

  constructor(private readonly options: GcpRepositoriesOptions) {}

  async create(repository: string, signal: AbortSignal | undefined): Promise<boolean> {
    const { gcp, registry } = this.options;
    if (gcp.repositoryId === '') {
      const text = `the repository of ${repository} does not exist: create it with format Docker (${registry}, paths)`;
      throw new RegistryError(text, { kind: 'absent', host: artifactRegistryPlace(gcp).host });
    }
    const now = this.options.now ?? Date.now;
    if (this.#creation === undefined || this.#creation.until < now()) {
      // Blobs are pushed in parallel, and each of them calls this.
      this.#creation = { outcome: this.#create(), until: now() + CREATION_MEMORY_MS };
      this.#creation.outcome.catch(() => undefined);
    }
    const { outcome } = this.#creation;
    return signal === undefined ? outcome : untilAborted(outcome, signal);
  }

  used(): void {
    if (this.options.gcp.repositoryId !== '') this.options.keeper.used();
  }

  isImmutable(): boolean {
    return this.options.gcp.repository.immutableTags === true;
  }

  async #create(): Promise<boolean> {
    const { gcp, registry, api, keeper, onEvent } = this.options;
    const { host, path } = artifactRegistryPlace(gcp);
    const event = { kind: 'repository', registry, repository: path, action: 'create' } as const;
    if (!gcp.createRepository) {
      const text =
        `the repository ${path} does not exist: create it with format Docker, or set gcp.createRepository: true and ` +
        'grant roles/artifactregistry.admin on the project';
      throw new RegistryError(text, { kind: 'absent', host });
    }
    try {
      const created = await api.create();
      onEvent({ ...event, outcome: created ? 'ok' : 'exists' });
      keeper.created();
      return true;
    } catch (error) {
      const outcome = error instanceof RegistryError ? error.kind : 'invalid';
      onEvent({ ...event, outcome, message: messageOf(error) });
      throw error;
    }
  }
}
