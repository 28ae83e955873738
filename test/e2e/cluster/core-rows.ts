import { installEngine, uninstallEngine } from './engine-install.js';
import type { Engine } from './engines.js';
import { create, debug, imagesOf, label, pod, stored, volumesOf } from './pods.js';
import type { PodObject } from './pods.js';
import { createWithSidecar } from './sidecar-webhook.js';
import type { World } from './world.js';

/** A row of docs/engines.md → the observed result, in the words of that table. */
export type CoreRows = Readonly<Record<string, string>>;

/**
 * The rows of docs/engines.md that differ between versions, as observed in this world, with one Pod for each. It does
 * not assert anything.
 */
export async function observeCoreRows(world: World, engine: Engine): Promise<CoreRows> {
  const rows: Record<string, string> = {};
  try {
    await installEngine(world, engine, { failClosed: false });
    rows['new Pod: containers, init containers, sidecars'] = await newPod(world, engine);
    rows['new Pod: image volumes'] = await imageVolume(world);
    rows['Pod of an excluded namespace'] = await excluded(world, engine);
    rows['image not in the target yet'] = await absentImage(world, engine);
    rows['label of a live Pod'] = await labeledPod(world, engine);
    rows['ephemeral containers'] = await ephemeral(world);
    rows['sidecar of a later webhook'] = await laterSidecar(world);
    await outage(world, engine, 'fail open', rows);
    await uninstallEngine(world, engine);
    await installEngine(world, engine, { failClosed: true });
    await outage(world, engine, 'fail closed', rows);
  } finally {
    await uninstallEngine(world, engine);
  }
  return rows;
}

async function newPod(world: World, engine: Engine): Promise<string> {
  const image = await world.probe();
  const before = await world.requests(engine.route);
  const admission = await create(
    world.plane.api,
    pod(image, {
      initContainers: [
        { name: 'init', image },
        { name: 'sidecar', image, restartPolicy: 'Always' },
      ],
    }),
  );
  if (!admission.admitted) return `refused: ${admission.message}`;
  const calls = (await world.requests(engine.route)) - before;
  const kept = Object.entries(admission.images).filter(([, one]) => one !== world.swapped(image));
  const outcome = kept.length === 0 ? 'swapped' : `unchanged: ${kept.map(([name]) => name).join(', ')}`;
  return `${outcome}, ${calls} call${calls === 1 ? '' : 's'}`;
}

async function imageVolume(world: World): Promise<string> {
  const image = await world.probe();
  const made = pod(image, { volumes: [{ name: 'model', image: { reference: image } }] });
  const admission = await create(world.plane.api, made);
  if (!admission.admitted) return `refused: ${admission.message}`;
  const { model } = volumesOf(await stored(world.plane.api, made));
  if (model === undefined) return 'none in this Kubernetes';
  return model === world.swapped(image) ? 'swapped, same call' : 'unchanged';
}

async function excluded(world: World, engine: Engine): Promise<string> {
  const image = await world.probe();
  const before = await world.requests(engine.route);
  const outcome = await admit(world, pod(image, {}, { namespace: 'kube-system' }), image);
  return `${outcome}, ${(await world.requests(engine.route)) === before ? 'no call' : 'a call'}`;
}

async function absentImage(world: World, engine: Engine): Promise<string> {
  const image = await world.image();
  const outcome = await admit(world, pod(image), image);
  if (engine.copies) await world.waitUntilMirrored(image);
  return `${outcome}, ${(await world.isMirrored(image)) ? 'copied' : 'not copied'}`;
}

async function labeledPod(world: World, engine: Engine): Promise<string> {
  const { api } = world.plane;
  // A new Pod with this image would be swapped.
  const image = await world.probe();
  const live = pod(image, {}, { labels: { 'image-swapper.io/skip': 'true' } });
  await create(api, live);
  const before = await world.requests(engine.route);
  const admission = await label(api, live, { 'image-swapper.io/skip': 'false' });
  if (!admission.admitted) return `refused: ${admission.message}`;
  const kept = imagesOf(await stored(api, live))['app'] === image;
  const called = (await world.requests(engine.route)) !== before;
  return `${kept ? 'images kept' : 'images changed'}, ${called ? 'a call' : 'no call'}`;
}

async function ephemeral(world: World): Promise<string> {
  const { api } = world.plane;
  const image = await world.probe();
  const live = pod(image);
  await create(api, live);
  const admission = await debug(api, live, { name: 'debug', image });
  if (!admission.admitted) return `refused: ${admission.message}`;
  return admission.images['debug'] === image ? 'unchanged unless asked for' : 'new ones swapped';
}

async function laterSidecar(world: World): Promise<string> {
  const image = await world.probe();
  const admission = await createWithSidecar(world.plane.api, image);
  if (!admission.admitted) return `refused: ${admission.message}`;
  const { app, sidecar } = admission.images;
  if (app !== world.swapped(image)) return `unchanged: ${app}`;
  return sidecar === image ? 'not seen; the others are swapped once' : 'swapped too';
}

async function outage(world: World, engine: Engine, mode: string, rows: Record<string, string>): Promise<void> {
  try {
    await world.fronts[engine.scheme].disconnect();
    const image = await world.probe();
    rows[`service down, ${mode}`] = await admit(world, pod(image), image);
  } finally {
    await world.restore();
  }
  const image = await world.probe();
  rows[`service back, ${mode}`] = await admit(world, pod(image), image);
}

async function admit(world: World, object: PodObject, image: string): Promise<string> {
  const admission = await create(world.plane.api, object);
  if (!admission.admitted) return 'refused';
  const { app } = admission.images;
  return app === image ? 'unchanged' : app === world.swapped(image) ? 'swapped' : String(app);
}
