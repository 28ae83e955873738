import type { protos } from '@google-cloud/artifact-registry';
import type { GcpConfig } from './config.js';
import { untilAborted } from '../../registry/transport/abort.js';
import { openApiClient } from './api-client.js';
import type { AccessToken } from './access-token.js';
import { apiProblem } from './problems.js';
import type { ApiCall } from './problems.js';
import type { ArtifactRegistryClient } from './sdk.js';
import { newRepository, parentName, repositoryName } from './settings.js';
import type { Repository } from './settings.js';

export type IamPolicy = protos.google.iam.v1.IPolicy;

export interface RepositoryApiOptions {
  readonly gcp: GcpConfig;
  readonly host: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly token: () => Promise<AccessToken>;
}

/** Time limit in milliseconds for one call; a creation may take longer. */
const TIMEOUTS_MS = { call: 20_000, creation: 60_000 };
/** No retries by the library: each caller has its own schedule. */
const CALL = { timeout: TIMEOUTS_MS.call, retry: null };

export const ADMIN = 'roles/artifactregistry.admin';
/** The writer role cannot delete. */
export const REPO_ADMIN = 'roles/artifactregistry.repoAdmin';
export const READER_ROLE = 'roles/artifactregistry.reader';
export const WRITER = 'roles/artifactregistry.writer';

/**
 * Calls Artifact Registry's API for one repository. Each method rejects with a RegistryError that names the role to
 * grant.
 */
export class RepositoryApi {
  #client: Promise<ArtifactRegistryClient> | undefined;

  constructor(private readonly options: RepositoryApiOptions) {}

  /** Undefined if it does not exist. */
  async get(signal?: AbortSignal): Promise<Repository | undefined> {
    const name = this.#name;
    const call = this.#call('GetRepository', 'artifactregistry.repositories.get', READER_ROLE, 'repository');
    return this.#run(call, signal, async (client) => (await client.getRepository({ name }, CALL))[0]).catch(absent);
  }

  /** @returns false when it already exists */
  async create(signal?: AbortSignal): Promise<boolean> {
    const { gcp } = this.options;
    const call = this.#call('CreateRepository', 'artifactregistry.repositories.create', ADMIN, 'project');
    const request = { parent: parentName(gcp), repositoryId: gcp.repositoryId, repository: newRepository(gcp) };
    const work = async (client: ArtifactRegistryClient): Promise<boolean> => {
      try {
        const [operation] = await client.createRepository(request, CALL);
        await operation.promise();
        return true;
      } catch (error) {
        // Another replica, or an administrator, was faster.
        if (isExisting(error)) return false;
        throw error;
      }
    };
    return this.#run(call, signal, work, TIMEOUTS_MS.creation);
  }

  /** `paths` are the field names for UpdateRepository's field mask. */
  async update(repository: Repository, paths: readonly string[], signal?: AbortSignal): Promise<void> {
    const call = this.#call('UpdateRepository', 'artifactregistry.repositories.update', ADMIN, 'repository');
    const request = { repository: { ...repository, name: this.#name }, updateMask: { paths: [...paths] } };
    await this.#run(call, signal, async (client) => client.updateRepository(request, CALL));
  }

  async iamPolicy(signal?: AbortSignal): Promise<IamPolicy> {
    const call = this.#call('GetIamPolicy', 'artifactregistry.repositories.getIamPolicy', ADMIN, 'repository');
    // Version 3 keeps conditions that others have set.
    const request = { resource: this.#name, options: { requestedPolicyVersion: 3 } };
    return this.#run(call, signal, async (client) => (await client.getIamPolicy(request, CALL))[0]);
  }

  /** Fails with `server` if the policy has changed since it was read. */
  async setIamPolicy(policy: IamPolicy, signal?: AbortSignal): Promise<void> {
    const call = this.#call('SetIamPolicy', 'artifactregistry.repositories.setIamPolicy', ADMIN, 'repository');
    await this.#run(call, signal, async (client) => client.setIamPolicy({ resource: this.#name, policy }, CALL));
  }

  /** The subset of the permissions that the identity has; needs no permission itself. */
  async testPermissions(permissions: readonly string[], signal?: AbortSignal): Promise<readonly string[]> {
    const call = this.#call('TestIamPermissions', 'none', READER_ROLE, 'repository');
    const request = { resource: this.#name, permissions: [...permissions] };
    return this.#run(call, signal, async (client) => {
      const [{ permissions: granted }] = await client.testIamPermissions(request, CALL);
      return granted ?? [];
    });
  }

  stop(): void {
    this.#client?.then(
      (client) => client.close(),
      () => undefined,
    );
    this.#client = undefined;
  }

  get #name(): string {
    return repositoryName(this.options.gcp);
  }

  #call(method: string, permission: string, role: string, on: ApiCall['on']): ApiCall {
    return { method, permission, role, on, resource: this.#name };
  }

  async #run<T>(
    call: ApiCall,
    signal: AbortSignal | undefined,
    work: (client: ArtifactRegistryClient) => Promise<T>,
    timeoutMs: number = TIMEOUTS_MS.call,
  ): Promise<T> {
    const { gcp, host, env, token } = this.options;
    // If there is no answer, the library waits for a connection forever.
    const limit = AbortSignal.timeout(timeoutMs);
    try {
      // A failed login has its own error; inside the library it would become text.
      await untilAborted(token(), limit);
      this.#client ??= openApiClient(gcp, env, token);
      const client = await this.#client;
      return await untilAborted(work(client), signal === undefined ? limit : AbortSignal.any([signal, limit]));
    } catch (error) {
      signal?.throwIfAborted();
      throw apiProblem(host, call, error);
    }
  }
}

/** gRPC's ALREADY_EXISTS, or its HTTP status. */
function isExisting(error: unknown): boolean {
  const { code, response } = error as { readonly code?: unknown; readonly response?: { readonly status?: unknown } };
  return code === 6 || response?.status === 409;
}

function absent(error: unknown): undefined {
  if (error instanceof Error && 'kind' in error && error.kind === 'absent') return undefined;
  throw error;
}
