import type { protos } from '@google-cloud/artifact-registry';

export type StoredRepository = protos.google.devtools.artifactregistry.v1.IRepository;
export type StoredPolicy = protos.google.iam.v1.IPolicy;

/** An error of a call, with its gRPC code. */
export class RpcError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

export const RPC = { invalidArgument: 3, notFound: 5, alreadyExists: 6, permissionDenied: 7, aborted: 10 } as const;

export interface ApiRequest {
  readonly transport: 'grpc' | 'rest';
  readonly method: string;
  readonly identity: string;
  /** The request message as protobufjs decodes it. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Repositories, their IAM policies, and the permissions of identities. */
export class RepositoryState {
  readonly repositories = new Map<string, StoredRepository>();
  readonly policies = new Map<string, StoredPolicy>();
  /** Permissions by identity. Other identities have none. */
  readonly permissions = new Map<string, ReadonlySet<string>>();
  readonly operations = new Map<string, StoredRepository>();
  #etag = 0;

  has(identity: string, permission: string): boolean {
    return this.permissions.get(identity)?.has(permission) === true;
  }

  /** @throws RpcError */
  handle(method: string, request: Readonly<Record<string, unknown>>, identity: string): object {
    switch (method) {
      case 'GetRepository':
        return this.#existing(String(request['name']), identity, 'artifactregistry.repositories.get');
      case 'CreateRepository':
        return this.#create(request, identity);
      case 'UpdateRepository':
        return this.#update(request, identity);
      case 'GetIamPolicy': {
        const name = String(request['resource']);
        this.#existing(name, identity, 'artifactregistry.repositories.getIamPolicy');
        return this.#policy(name);
      }
      case 'SetIamPolicy': {
        const name = String(request['resource']);
        this.#existing(name, identity, 'artifactregistry.repositories.setIamPolicy');
        const policy = request['policy'] as StoredPolicy;
        if (String(policy.etag) !== String(this.#policy(name).etag)) {
          throw new RpcError(RPC.aborted, 'There were concurrent policy changes.');
        }
        this.policies.set(name, { ...policy, etag: Buffer.from(`etag-${++this.#etag}`) });
        return this.#policy(name);
      }
      case 'TestIamPermissions': {
        const wanted = request['permissions'] as string[];
        return { permissions: wanted.filter((permission) => this.has(identity, permission)) };
      }
      case 'GetOperation':
        return this.#operation(String(request['name']));
      default:
        throw new RpcError(12, `${method} is not implemented`);
    }
  }

  #create(request: Readonly<Record<string, unknown>>, identity: string): object {
    const name = `${String(request['parent'])}/repositories/${String(request['repositoryId'])}`;
    this.#allow(identity, 'artifactregistry.repositories.create', name);
    if (this.repositories.has(name)) throw new RpcError(RPC.alreadyExists, 'the repository already exists');
    this.repositories.set(name, { ...(request['repository'] as StoredRepository), name });
    const operation = `${String(request['parent'])}/operations/${this.operations.size + 1}`;
    this.operations.set(operation, this.repositories.get(name) ?? {});
    // The client has to poll the operation for the result.
    return { name: operation, done: false };
  }

  #operation(name: string): object {
    const value = this.operations.get(name);
    if (value === undefined) throw new RpcError(RPC.notFound, 'no such operation');
    return { name, done: true, response: value };
  }

  #update(request: Readonly<Record<string, unknown>>, identity: string): object {
    const changes = request['repository'] as StoredRepository;
    const name = String(changes.name);
    const existing = this.#existing(name, identity, 'artifactregistry.repositories.update');
    const { paths = [] } = request['updateMask'] as { paths?: readonly string[] };
    const fields: Readonly<Record<string, keyof StoredRepository>> = {
      description: 'description',
      labels: 'labels',
      docker_config: 'dockerConfig',
      cleanup_policies: 'cleanupPolicies',
      cleanup_policy_dry_run: 'cleanupPolicyDryRun',
      'vulnerability_scanning_config.enablement_config': 'vulnerabilityScanningConfig',
    };
    const updated: Record<string, unknown> = { ...existing };
    for (const path of paths) {
      const field = fields[path];
      if (field === undefined) throw new RpcError(RPC.invalidArgument, `unknown field in update_mask: ${path}`);
      updated[field] = changes[field];
    }
    this.repositories.set(name, updated);
    return updated;
  }

  #policy(name: string): StoredPolicy {
    return this.policies.get(name) ?? { version: 1, bindings: [], etag: Buffer.from('etag-0') };
  }

  #existing(name: string, identity: string, permission: string): StoredRepository {
    this.#allow(identity, permission, name);
    const found = this.repositories.get(name);
    if (found === undefined) throw new RpcError(RPC.notFound, `Requested entity was not found: ${name}`);
    return found;
  }

  #allow(identity: string, permission: string, name: string): void {
    if (this.has(identity, permission)) return;
    const text = `Permission '${permission}' denied on resource '//artifactregistry.googleapis.com/${name}' (or it may not exist).`;
    throw new RpcError(RPC.permissionDenied, text);
  }
}
