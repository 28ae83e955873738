import type { CoordinationV1Api, V1Lease, V1LeaseSpec } from '@kubernetes/client-node';
import { describeApiFailure } from '../api-failure.js';
import type { ClusterAccess } from '../api.js';
import { requestOptions } from '../request-options.js';
import { LeaseError } from './api.js';
import type { LeaseApi, LeaseWrite } from './api.js';
import { readRecord } from './record.js';
import type { StoredLease } from './record.js';

/** A `coordination.k8s.io/v1` Lease at the API server. Needs the verbs get, create and patch on leases. */
export class ClusterLease implements LeaseApi {
  readonly title: string;

  private constructor(
    private readonly api: CoordinationV1Api,
    private readonly name: string,
    private readonly namespace: string,
  ) {
    this.title = `Lease ${namespace}/${name}`;
  }

  static async connect(cluster: ClusterAccess, name: string, namespace = cluster.namespace): Promise<ClusterLease> {
    const { CoordinationV1Api } = await import('../client.js');
    return new ClusterLease(cluster.config.makeApiClient(CoordinationV1Api), name, namespace);
  }

  async read(signal: AbortSignal): Promise<StoredLease | undefined> {
    const { name, namespace } = this;
    try {
      return stored(await this.api.readNamespacedLease({ name, namespace }, await requestOptions(signal)));
    } catch (error) {
      if (describeApiFailure(error).status === 404) return undefined;
      throw this.failure('get', error);
    }
  }

  /** Identifies the installation, even across clusters. @throws LeaseError */
  async uid(signal: AbortSignal): Promise<string> {
    const { name, namespace } = this;
    try {
      const { metadata } = await this.api.readNamespacedLease({ name, namespace }, await requestOptions(signal));
      return metadata?.uid ?? '';
    } catch (error) {
      throw this.failure('get', error);
    }
  }

  async create(write: LeaseWrite, signal: AbortSignal): Promise<StoredLease> {
    const { name, namespace } = this;
    const body: V1Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace },
      spec: await specOf(write),
    };
    try {
      return stored(await this.api.createNamespacedLease({ namespace, body }, await requestOptions(signal)));
    } catch (error) {
      throw this.failure('create', error);
    }
  }

  // Unlike an update, a patch keeps fields of others, and never recreates a deleted Lease.
  async replace(resourceVersion: string, write: LeaseWrite, signal: AbortSignal): Promise<StoredLease> {
    const { name, namespace } = this;
    const { PatchStrategy } = await import('../client.js');
    const body = { metadata: { resourceVersion }, spec: await specOf(write) };
    try {
      const options = await requestOptions(signal, PatchStrategy.MergePatch);
      return stored(await this.api.patchNamespacedLease({ name, namespace, body }, options));
    } catch (error) {
      throw this.failure('patch', error);
    }
  }

  private failure(verb: 'get' | 'create' | 'patch', error: unknown): LeaseError {
    const { status, message } = describeApiFailure(error);
    const request = `${verb} ${this.title}`;
    const fail = (kind: LeaseError['kind'], text: string): LeaseError => new LeaseError(kind, text, { cause: error });
    switch (status) {
      case 409:
        return fail('conflict', `${request}: ${message}`);
      case 404:
        return verb === 'patch'
          ? fail('conflict', `${request}: the Lease was deleted`)
          : fail('refused', `${request}: ${message}; does the namespace ${this.namespace} exist?`);
      case 401:
        return fail('refused', `${request}: the API server does not accept the service's token (401)`);
      case 403:
        return fail(
          'refused',
          `${request}: forbidden (403); grant the service's ServiceAccount the verb ${verb} on leases.coordination.k8s.io in the namespace ${this.namespace}`,
        );
      default: {
        const busy = status === undefined || status === 408 || status === 429 || status >= 500;
        return fail(
          busy ? 'unreachable' : 'refused',
          `${request}: ${status === undefined ? '' : `${status}: `}${message}`,
        );
      }
    }
  }
}

function stored(lease: V1Lease): StoredLease {
  const resourceVersion = lease.metadata?.resourceVersion ?? '';
  // A change without a version would overwrite the current state.
  if (resourceVersion === '') throw new Error('the response of the API server has no resourceVersion');
  return { record: readRecord(lease.spec as Readonly<Record<string, unknown>> | undefined), resourceVersion };
}

async function specOf(write: LeaseWrite): Promise<V1LeaseSpec> {
  const { V1MicroTime } = await import('../client.js');
  return {
    holderIdentity: write.holder,
    leaseDurationSeconds: write.durationSeconds,
    acquireTime: new V1MicroTime(write.acquireTime),
    renewTime: new V1MicroTime(write.renewTime),
    leaseTransitions: write.transitions,
  };
}
