import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiObject } from '../e2e/cluster/kube-api.js';
import { admissionOf } from '../e2e/cluster/pods.js';
import type { PodObject } from '../e2e/cluster/pods.js';
import type { World } from '../e2e/cluster/world.js';
import { until } from '../fakes/until.js';
import { benchPod } from './pod.js';

/**
 * Pods are created in a namespace `bench-SIDE` for each side; the policies exclude the namespaces of the other sides.
 */
export interface Side {
  readonly name: string;
  /** Policies of the side. If there are none, Pods keep their images. */
  readonly policies: readonly ApiObject[];
}

export const PODS_PER_SECOND = 20;

/**
 * Creates Pods for the sides in turn, 20 per second in total.
 * @returns sorted milliseconds of each creation, by side
 */
export async function pacedPods(
  world: World,
  sides: readonly Side[],
  images: readonly string[],
  seconds: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const { api } = world.plane;
  for (const { name } of sides) {
    await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `bench-${name}` } });
  }
  const create = async (side: string): Promise<boolean> => {
    const { metadata, spec, ...pod } = benchPod((n) => images[n] ?? '') as PodObject;
    // The init container has a probe, which only a sidecar may have.
    const initContainers = spec.initContainers?.map((container) => ({ ...container, restartPolicy: 'Always' })) ?? [];
    const body = { ...pod, metadata: { ...metadata, namespace: `bench-${side}` }, spec: { ...spec, initContainers } };
    const admission = admissionOf(await api.send('POST', `/api/v1/namespaces/bench-${side}/pods`, body));
    if (!admission.admitted) throw new Error(admission.message);
    return Object.values(admission.images).every((image) => image.startsWith(world.prefix));
  };
  for (const { name, policies } of sides) {
    for (const object of policies) await api.apply(object);
    if (policies.length > 0) await until(`Pods of ${name} are swapped`, () => create(name), 60);
  }
  const latencies = new Map(sides.map(({ name }) => [name, [] as number[]]));
  const once = async ({ name, policies }: Side): Promise<void> => {
    const started = performance.now();
    const swapped = await create(name);
    latencies.get(name)?.push(performance.now() - started);
    if (swapped !== policies.length > 0) throw new Error(`a Pod of ${name} has swapped: ${swapped}`);
  };
  const pending: Promise<void>[] = [];
  const began = performance.now();
  for (let n = 0; n < seconds * PODS_PER_SECOND; n += 1) {
    await sleep(Math.max(0, began + (n * 1000) / PODS_PER_SECOND - performance.now()));
    const side = sides[n % sides.length];
    if (side !== undefined) pending.push(once(side));
  }
  await Promise.all(pending);
  for (const { policies } of sides) for (const object of [...policies].reverse()) await api.remove(object);
  for (const values of latencies.values()) values.sort((a, b) => a - b);
  return latencies;
}
