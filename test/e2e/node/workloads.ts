import { until } from '../../fakes/until.js';
import { expectOk } from '../cluster/kube-api.js';
import type { ApiObject } from '../cluster/kube-api.js';
import { stored } from '../cluster/pods.js';
import type { PodObject } from '../cluster/pods.js';
import type { Node } from './node.js';

export interface ContainerStatus {
  readonly image: string;
  /** Name and digest of the image that the node pulled. */
  readonly imageID: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly state: { readonly running?: object; readonly waiting?: { readonly reason?: string } };
}

/**
 * Creates a Pod and waits until the node runs it. @returns the status of its first container, as the kubelet reports it
 */
export async function running(node: Node, object: PodObject): Promise<ContainerStatus> {
  expectOk(await node.plane.api.create(object), `Pod ${object.metadata.name}`);
  await until(`${object.metadata.name} runs`, async () => (await statusOf(node, object))?.state.running !== undefined);
  return (await statusOf(node, object)) as ContainerStatus;
}

export async function statusOf(node: Node, object: PodObject): Promise<ContainerStatus | undefined> {
  const { status } = (await stored(node.plane.api, object)) as PodObject & {
    readonly status?: { readonly containerStatuses?: readonly ContainerStatus[] };
  };
  return status?.containerStatuses?.[0];
}

/** A typical Deployment whose containers do nothing. */
export function deployment(name: string, namespace: string, image: string): ApiObject {
  const labels = { app: name };
  const containers = [{ name: 'app', image, imagePullPolicy: 'Always' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers, terminationGracePeriodSeconds: 1 } },
    },
  };
}

/** Waits like `kubectl rollout status`. @returns the images of its Pods */
export async function rolledOut(
  node: Node,
  object: Pick<ApiObject, 'apiVersion' | 'kind' | 'metadata'>,
): Promise<string[]> {
  const { name, namespace } = object.metadata;
  await until(`${name} is rolled out`, async () => {
    const { body } = expectOk(await node.plane.api.get(object), name);
    const { metadata, spec, status } = body as {
      readonly metadata: { readonly generation: number };
      readonly spec: { readonly replicas: number };
      readonly status: Readonly<Record<string, number | undefined>>;
    };
    const counts = ['replicas', 'updatedReplicas', 'availableReplicas'].map((key) => status[key] ?? 0);
    const isSeen = (status['observedGeneration'] ?? 0) >= metadata.generation;
    return isSeen && counts.every((count) => count === spec.replicas);
  });
  const { body } = await node.plane.api.send('GET', `/api/v1/namespaces/${namespace}/pods?labelSelector=app=${name}`);
  const { items } = body as { readonly items: readonly PodObject[] };
  return items
    .filter(({ metadata }) => metadata['deletionTimestamp'] === undefined)
    .map(({ spec }) => spec.containers[0]?.image ?? '');
}

/** Restarts the Deployment like `kubectl rollout restart`. */
export async function restart(node: Node, object: ApiObject): Promise<void> {
  const { name, namespace } = object.metadata;
  const annotations = { 'kubectl.kubernetes.io/restartedAt': `${Date.now()} ${Math.random()}` };
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
  const patch = { spec: { template: { metadata: { annotations } } } };
  expectOk(await node.plane.api.send('PATCH', path, patch, 'application/merge-patch+json'), `restart ${name}`);
}

/** Scales the Deployment like `kubectl scale`. */
export async function scale(node: Node, namespace: string, name: string, replicas: number): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
  expectOk(await node.plane.api.send('PATCH', path, { spec: { replicas } }, 'application/merge-patch+json'), name);
}
