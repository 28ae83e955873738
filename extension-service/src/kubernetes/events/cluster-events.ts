import type { CoreV1Api, CoreV1Event } from '@kubernetes/client-node';
import { describeApiFailure } from '../api-failure.js';
import { requestOptions } from '../request-options.js';
import { EventError } from './api.js';
import type { EventErrorKind, EventsApi, EventUpdate } from './api.js';
import type { CopyEvent } from './copy-event.js';

const CONTROLLER = 'image-swapper';
const MAX_INSTANCE_LENGTH = 128;

/**
 * Events through the core API. The newer events.k8s.io does not allow changing a message, which contains the next try;
 * `kubectl describe` and `kubectl get events` show count and age of both. Needs the verbs create and patch on events.
 */
export class ClusterEvents implements EventsApi {
  constructor(
    private readonly api: CoreV1Api,
    /** The reporting instance: the Pod's name, or the host's. */
    private readonly instance: string,
  ) {}

  async create(event: CopyEvent, at: Date, count: number, signal: AbortSignal): Promise<void> {
    const { namespace, object } = event;
    const body: CoreV1Event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: event.name, namespace },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name: object.name,
        uid: object.uid,
        ...(object.namespace !== '' && { namespace: object.namespace }),
      },
      type: event.type,
      reason: event.reason,
      action: 'Mirror',
      message: event.message,
      count,
      firstTimestamp: at,
      lastTimestamp: at,
      source: { component: CONTROLLER },
      reportingComponent: CONTROLLER,
      reportingInstance: this.instance.slice(0, MAX_INSTANCE_LENGTH),
    };
    try {
      await this.api.createNamespacedEvent({ namespace, body }, await requestOptions(signal));
    } catch (error) {
      throw failure('create', event, error);
    }
  }

  async update(event: CopyEvent, { message, lastSeen, count }: EventUpdate, signal: AbortSignal): Promise<number> {
    const { name, namespace } = event;
    const { PatchStrategy } = await import('../client.js');
    const body = { message, lastTimestamp: lastSeen, ...(count !== undefined && { count }) };
    try {
      const options = await requestOptions(signal, PatchStrategy.MergePatch);
      return (await this.api.patchNamespacedEvent({ name, namespace, body }, options)).count ?? 1;
    } catch (error) {
      throw failure('patch', event, error);
    }
  }
}

function failure(verb: 'create' | 'patch', { namespace, name }: CopyEvent, error: unknown): EventError {
  const { status, message, retryAfter } = describeApiFailure(error);
  const request = `${verb} Event ${namespace}/${name}`;
  const fail = (kind: EventErrorKind, text: string): EventError =>
    new EventError(kind, `${request}: ${text}`, retryAfter, { cause: error });
  switch (status) {
    case 409:
      return fail(verb === 'create' ? 'exists' : 'later', message);
    case 404:
      return fail('absent', message);
    case 401:
      return fail('forbidden', "the API server does not accept the service's token (401)");
    case 403:
      // Not a missing right: the namespace is being deleted, or has a quota for Events.
      if (/being terminated|exceeded quota/.test(message)) return fail('dropped', message);
      return fail('forbidden', `forbidden (403); grant the service's ServiceAccount the verb ${verb} on events`);
    default: {
      const busy = status === undefined || status === 408 || status === 429 || status >= 500;
      return fail(busy ? 'later' : 'dropped', status === undefined ? message : `${status}: ${message}`);
    }
  }
}
