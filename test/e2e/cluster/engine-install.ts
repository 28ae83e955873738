import { until } from '../../fakes/until.js';
import { LONG_TIMEOUT } from './engines.js';
import type { Engine } from './engines.js';
import type { ApiObject } from './kube-api.js';
import { pod, tryOut, volumesOf } from './pods.js';
import { FILTERS } from './world.js';
import type { World } from './world.js';

export interface InstallOptions {
  readonly failClosed: boolean;
  /** @default LONG_TIMEOUT */
  readonly timeoutSeconds?: number;
}

/**
 * Applies the engine's objects and waits until all of them have an effect. Gatekeeper loads its mutators one by one. The
 * engine must not be installed: Pods would be swapped by the previous objects while the engine still loads these.
 *
 * @throws Error when a new Pod is not swapped in time
 */
export async function installEngine(world: World, engine: Engine, options: InstallOptions): Promise<void> {
  for (const object of objectsOf(world, engine, options)) await world.plane.api.apply(object);
  const image = await world.probe();
  const wanted = world.swapped(image);
  await until(`${engine.name} swaps`, async () => (await imagesOfNewPod(world, image)).every((one) => one === wanted));
}

/** Deletes the engine's objects and waits until they no longer have an effect. */
export async function uninstallEngine(world: World, engine: Engine): Promise<void> {
  for (const failClosed of [false, true]) {
    for (const object of [...objectsOf(world, engine, { failClosed })].reverse()) await world.plane.api.remove(object);
  }
  const image = await world.probe();
  await until(`${engine.name} is gone`, async () => (await imagesOfNewPod(world, image)).every((one) => one === image));
}

/** Returns the images of a new Pod that has this image in each place, or `refused` when the Pod is refused. */
async function imagesOfNewPod(world: World, image: string): Promise<readonly string[]> {
  const probe = pod(image, {
    initContainers: [{ name: 'init', image }],
    volumes: [{ name: 'volume', image: { reference: image } }],
  });
  const admission = await tryOut(world.plane.api, probe);
  if (!admission.admitted) return ['refused'];
  // A Kubernetes version without image volumes drops their reference.
  return [...Object.values(admission.images), ...Object.values(volumesOf(admission.object))];
}

/** The engine's objects as they are applied. */
export function objectsOf(
  world: World,
  engine: Engine,
  { failClosed, timeoutSeconds = LONG_TIMEOUT }: InstallOptions,
): readonly ApiObject[] {
  return engine.objects({
    address: `127.0.0.1:${world.fronts[engine.scheme].port}`,
    targets: [world.prefix],
    filters: FILTERS,
    ca: world.service.ca,
    failClosed,
    timeoutSeconds,
    // With one name for both, an engine could apply what it remembers of the other.
    name: failClosed ? 'image-swapper-fail-closed' : 'image-swapper',
  });
}
