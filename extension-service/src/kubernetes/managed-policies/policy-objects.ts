import type { CustomObjectsApi } from '@kubernetes/client-node';
import type { ManagedKind } from '../../core/engines/engine.js';
import { engineOf, engineOfKind, MANAGED_KINDS, TABLE_KINDS } from '../../core/engines/engines.js';
import type { EngineChoice } from '../../core/engines/engines.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import type { ClusterAccess } from '../api.js';
import { apiProblem, statusOf } from '../api-problem.js';
import { callOptions } from '../call-options.js';
import { FIELD_MANAGER } from './owner.js';

/** A kind of object that policies consist of, in the client library's form. */
export interface PolicyKind extends ManagedKind {
  readonly group: string;
  readonly version: string;
}

export function policyKind(managed: ManagedKind): PolicyKind {
  const [group = '', version = ''] = managed.apiVersion.split('/');
  return { ...managed, group, version };
}

/** The kinds of policies of every engine, in the order of deletion: callers before the objects that they need. */
export const POLICY_KINDS: readonly PolicyKind[] = MANAGED_KINDS.map(policyKind);

/** The same with the kinds that only `policies.table` needs. */
export const ALL_KINDS: readonly PolicyKind[] = [...POLICY_KINDS, ...TABLE_KINDS.map(policyKind)];

/** The kinds that this configuration may have in the cluster: without `policies.table` there may be no rights on its kinds. */
export function kindsFor(policies: EngineChoice): readonly PolicyKind[] {
  const own = engineOf(policies)?.kinds ?? [];
  return ALL_KINDS.filter((one) => POLICY_KINDS.includes(one) || own.some(({ kind }) => kind === one.kind));
}

type Labels = Readonly<Record<string, string>>;

/** An object as stored in the API server. */
export interface LivePolicy {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly object[];
    readonly managedFields?: readonly ManagedFields[];
  };
}

interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
}

/** A failed operation on an object, with the remedy. */
export class PolicyObjectError extends Error {
  override readonly name = 'PolicyObjectError';
  constructor(
    message: string,
    /** HTTP status of the API server's response, if any. */
    readonly status: number | undefined,
  ) {
    super(message);
  }
}

/** Only an object's metadata: a policy can have a megabyte. */
const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json;q=0.5';
const DEADLINE_MS = 15_000;

/** The API server's policies of every engine. Each method throws PolicyObjectError. */
export class PolicyObjects {
  private constructor(private readonly api: CustomObjectsApi) {}

  static async connect(cluster: ClusterAccess): Promise<PolicyObjects> {
    const { CustomObjectsApi } = await import('../client.js');
    return new PolicyObjects(cluster.config.makeApiClient(CustomObjectsApi));
  }

  /** Objects that have the labels and were applied by the service. Parameters as for `withLabels`. */
  async managedObjects(kind: PolicyKind, labels: Labels, policyName: string): Promise<readonly LivePolicy[]> {
    return (await this.withLabels(kind, labels, policyName)).filter(isOurs);
  }

  /**
   * Objects that have the labels, regardless of who applied them; none if the kind is not installed. The chart does not
   * grant `list`, which RBAC cannot limit to labels: without it, only objects with the names of `policyName` are found.
   */
  async withLabels(kind: PolicyKind, labels: Labels, policyName: string): Promise<readonly LivePolicy[]> {
    const labelSelector = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    try {
      const list = (await this.api.listClusterCustomObject({ ...kind, labelSelector }, await callOptions())) as {
        readonly items: readonly LivePolicy[];
      };
      return list.items;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404) return [];
      const refused = problem(`${kind.plural}.${kind.group}`, error, ['list']);
      if (status !== 403) throw refused;
      return this.byName(kind, labels, kind.names(policyName), refused);
    }
  }

  private async byName(
    kind: PolicyKind,
    labels: Labels,
    names: readonly string[],
    refused: PolicyObjectError,
  ): Promise<readonly LivePolicy[]> {
    const found: LivePolicy[] = [];
    for (const name of names) {
      try {
        found.push((await this.api.getClusterCustomObject({ ...kind, name }, await callOptions())) as LivePolicy);
      } catch (error) {
        const status = statusOf(error);
        if (status === 403) throw refused;
        if (status !== 404) throw problem(`${kind.kind} ${name}`, error, ['get']);
      }
    }
    return found.filter((one) => carries(one, labels));
  }

  /** Whether the cluster has the kind; undefined if the API server does not say so. */
  async isServed({ group, version, plural }: PolicyKind): Promise<boolean | undefined> {
    try {
      const { resources } = await this.api.getAPIResources({ group, version }, await callOptions());
      return resources.some(({ name }) => name === plural);
    } catch (error) {
      return statusOf(error) === 404 ? false : undefined;
    }
  }

  /** The object of that name, regardless of who created it; undefined if it does not exist or may not be read. */
  async named(kind: PolicyKind, name: string): Promise<LivePolicy | undefined> {
    return (await this.read(kind, name, METADATA)) as LivePolicy | undefined;
  }

  /** Like `named`, with the object's full content. */
  async whole(kind: PolicyKind, name: string): Promise<LivePolicy | undefined> {
    return (await this.read(kind, name)) as LivePolicy | undefined;
  }

  private async read(kind: PolicyKind, name: string, accept?: string): Promise<object | undefined> {
    try {
      const options = await callOptions(undefined, DEADLINE_MS, accept);
      return (await this.api.getClusterCustomObject({ ...kind, name }, options)) as object;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404 || status === 403) return undefined;
      throw problem(`${kind.kind} ${name}`, error, ['get']);
    }
  }

  /** Creates the object, or sets its fields to these. @returns the object now */
  async apply(object: PolicyObject): Promise<LivePolicy> {
    const kind = kindOf(object);
    const { PatchStrategy } = await import('../client.js');
    const { name } = object.metadata;
    try {
      return (await this.api.patchClusterCustomObject(
        { ...kind, name, body: object, fieldManager: FIELD_MANAGER, force: true },
        await callOptions(PatchStrategy.ServerSideApply, DEADLINE_MS, METADATA),
      )) as LivePolicy;
    } catch (error) {
      if (statusOf(error) === 404) throw new PolicyObjectError(`${object.kind} ${name}: ${notServed(object)}`, 404);
      throw problem(`${object.kind} ${name}`, error, ['create', 'patch']);
    }
  }

  /** Also removes fields that others added. @returns the object now */
  async replace(object: PolicyObject, live: LivePolicy): Promise<LivePolicy> {
    const { name, resourceVersion, labels, annotations, finalizers, ownerReferences } = live.metadata;
    const metadata = {
      ...{ name, resourceVersion },
      // Finalizers and deletion do not affect what the policy does.
      ...(finalizers !== undefined && { finalizers }),
      ...(ownerReferences !== undefined && { ownerReferences }),
      labels: { ...labels, ...object.metadata.labels },
      annotations: { ...annotations, ...object.metadata.annotations },
    };
    try {
      return (await this.api.replaceClusterCustomObject(
        { ...kindOf(object), name, body: { ...object, metadata }, fieldManager: FIELD_MANAGER },
        await callOptions(),
      )) as LivePolicy;
    } catch (error) {
      throw problem(`${object.kind} ${name}`, error, ['update']);
    }
  }

  /** Deletes exactly this object; it is also fine if it is already gone. */
  async remove(kind: PolicyKind, { metadata: { name, uid } }: LivePolicy): Promise<void> {
    try {
      await this.api.deleteClusterCustomObject(
        { ...kind, name, body: { preconditions: { uid } } },
        await callOptions(),
      );
    } catch (error) {
      if (statusOf(error) === 404) return;
      throw problem(`${kind.kind} ${name}`, error, ['delete']);
    }
  }
}

/** Describes a cluster without the kind, and the remedy. */
export function notServed({ kind, apiVersion }: Pick<PolicyObject, 'kind' | 'apiVersion'>): string {
  const { install } = kindOf({ kind });
  if (install !== undefined) return `the cluster does not have ${apiVersion} ${kind}: ${install}`;
  const { transport, chart } = engineOfKind(kind);
  // Without a transport, the API server itself is the engine, and its version is too old.
  const remedy =
    transport === undefined && chart.api !== undefined
      ? `it needs ${chart.api.install}`
      : 'install the engine, or set another policies.engine';
  return `the cluster does not have ${apiVersion}: ${remedy}`;
}

export function kindOf({ kind }: Pick<PolicyObject, 'kind'>): PolicyKind {
  const found = ALL_KINDS.find((known) => known.kind === kind);
  if (found === undefined) throw new Error(`no kind ${kind}`);
  return found;
}

/** Whether the object has the labels and was applied by the service, so that the service may delete it. */
export function isOwned(live: LivePolicy, labels: Labels): boolean {
  return isOurs(live) && carries(live, labels);
}

function carries({ metadata }: LivePolicy, labels: Labels): boolean {
  return Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value);
}

function isOurs({ metadata: { managedFields = [] } }: LivePolicy): boolean {
  return managedFields.some(({ manager, operation }) => manager === FIELD_MANAGER && operation === 'Apply');
}

/**
 * The other field managers that affect what the policy does; server-side apply keeps the fields that they added. Our
 * own `replace` is one of them: apply does not remove its fields when they are no longer rendered.
 */
export function otherManagers({ metadata: { managedFields = [] } }: LivePolicy): readonly string[] {
  const others = managedFields.filter(
    ({ manager, operation, subresource, fieldsV1 = {} }) =>
      !(manager === FIELD_MANAGER && operation === 'Apply') &&
      (subresource ?? '') === '' &&
      ('f:spec' in fieldsV1 || 'f:webhooks' in fieldsV1),
  );
  return [...new Set(others.map(({ manager = 'somebody' }) => manager))];
}

function problem(what: string, error: unknown, verbs: readonly string[]): PolicyObjectError {
  return new PolicyObjectError(apiProblem(what, error, verbs), statusOf(error));
}
