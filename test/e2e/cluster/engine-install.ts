import { until } from '../../fakes/until.js';
import type { Engine } from './engines.js';
import type { ApiObject } from './kube-api.js';
import { pod, tryOut } from './pods.js';
import { FILTERS } from './world.js';
import type { World } from './world.js';

export interface InstallOptions {
  readonly failClosed: boolean;
  readonly timeoutSeconds?: number;
  /** Seconds until the engine must have swapped a Pod. @default 120 */
  readonly withinSeconds?: number;
}

/** Applies the engine's objects and waits until they act. @throws Error when a new Pod is not swapped in time */
export async function installEngine(world: World, engine: Engine, options: InstallOptions): Promise<void> {
  const { withinSeconds, ...policy } = options;
  for (const object of objectsOf(world, engine, policy)) await world.plane.api.apply(object);
  const image = await world.probe();
  await until(`${engine.name} swaps`, async () => (await appOf(world, image)) === world.swapped(image), withinSeconds);
}

/** Deletes the engine's objects and waits until they no longer act. */
export async function uninstallEngine(world: World, engine: Engine): Promise<void> {
  for (const object of [...objectsOf(world, engine, { failClosed: false })].reverse())
    await world.plane.api.remove(object);
  const image = await world.probe();
  await until(`${engine.name} is gone`, async () => (await appOf(world, image)) === image);
}

/** The image that a new Pod would get; undefined when it is refused. */
async function appOf(world: World, image: string): Promise<string | undefined> {
  const admission = await tryOut(world.plane.api, pod(image));
  return admission.admitted ? admission.images['app'] : undefined;
}

function objectsOf(
  world: World,
  engine: Engine,
  options: { readonly failClosed: boolean; readonly timeoutSeconds?: number },
): readonly ApiObject[] {
  const address = `127.0.0.1:${world.fronts[engine.scheme].port}`;
  return engine.objects({ address, targets: [world.prefix], filters: FILTERS, ca: world.service.ca, ...options });
}
