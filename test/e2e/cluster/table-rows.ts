import { until } from '../../fakes/until.js';
import { expectOk } from './kube-api.js';
import type { ApiObject } from './kube-api.js';
import { create, debug, imagesOf, label, pod, stored, tryOut, volumesOf } from './pods.js';
import type { PodObject } from './pods.js';
import { createWithSidecar } from './sidecar-webhook.js';
import { EXCLUDED_NAMESPACE } from './mirrored-world.js';
import type { TableWorld } from './table-world.js';

/** A row of docs/engines.md → the observed result with the table in the API server, in the words of that page. */
export type TableRows = Readonly<Record<string, string>>;

/**
 * Observes the rows without asserting anything. Afterwards, the service is stopped and has a different configuration.
 */
export async function observeTableRows(world: TableWorld): Promise<TableRows> {
  const rows: Record<string, string> = {};
  const image = await world.push();
  const first = pod(image);
  rows['image not in the target yet'] = await absentImage(world, first, image);
  rows['new Pod: containers, init containers, sidecars'] = await newPod(world, image);
  rows['new Pod: image volumes'] = await imageVolume(world, image);
  rows['Deployment'] = await deployment(world, image);
  rows['Pod of an excluded namespace'] = await seen(world, pod(image, {}, { namespace: EXCLUDED_NAMESPACE }), image);
  rows['Pod that a filter on labels leaves alone, or its author'] = await leftAlone(world, image);
  rows['Pod whose images are in the target'] = await seen(world, pod(world.swapped(image)), world.swapped(image));
  rows['server-side dry run'] = await dryRun(world, image);
  rows['label of a live Pod'] = await labeledPod(world, first, image);
  rows['ephemeral containers'] = await ephemeral(world, image);
  rows['sidecar of a later webhook'] = await laterSidecar(world, image);
  rows['200 Pods at once'] = await manyImages(world, image);
  for (const mode of ['fail open', 'fail closed'] as const) {
    await world.service.stop('SIGKILL');
    rows[`service down, ${mode}`] = await admit(world, pod(image), image);
    await world.serve({ failClosed: mode === 'fail open' });
    if (mode === 'fail open') await failsClosed(world);
    rows[`service back, ${mode}`] = await admit(world, pod(image), image);
  }
  await world.service.stop();
  return rows;
}

async function absentImage(world: TableWorld, object: PodObject, image: string): Promise<string> {
  const outcome = await admit(world, object, image);
  await until('a new Pod is swapped', async () => {
    const admission = await tryOut(world.plane.api, pod(image));
    return admission.admitted && admission.images['app'] === world.swapped(image);
  });
  return `${outcome}, ${(await world.isMirrored(image)) ? 'copied' : 'not copied'}`;
}

async function newPod(world: TableWorld, image: string): Promise<string> {
  const before = await world.calls();
  const initContainers = [
    { name: 'init', image },
    { name: 'sidecar', image, restartPolicy: 'Always' },
  ];
  const admission = await create(world.plane.api, pod(image, { initContainers }));
  if (!admission.admitted) return `refused: ${admission.message}`;
  const isSwapped = Object.values(admission.images).every((one) => one === world.swapped(image));
  return `${isSwapped ? 'swapped' : 'unchanged'}, ${await callsSince(world, before)}`;
}

async function imageVolume(world: TableWorld, image: string): Promise<string> {
  const before = await world.calls();
  const made = pod(image, {
    volumes: [
      { name: 'scratch', emptyDir: {} },
      { name: 'model', image: { reference: image } },
    ],
  });
  const admission = await create(world.plane.api, made);
  if (!admission.admitted) return `refused: ${admission.message}`;
  const { model } = volumesOf(await stored(world.plane.api, made));
  return `${model === world.swapped(image) ? 'swapped' : 'unchanged'}, ${await callsSince(world, before)}`;
}

async function deployment(world: TableWorld, image: string): Promise<string> {
  const { metadata, spec } = pod(image);
  const selector = { matchLabels: { app: 'x' } };
  const template = { metadata: { labels: selector.matchLabels }, spec };
  const object: ApiObject = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { selector, template } };
  const { body } = expectOk(await world.plane.api.create(object), 'create a Deployment');
  const { app } = imagesOf((body as { readonly spec: { readonly template: unknown } }).spec.template);
  return app === image ? 'template untouched' : `template changed: ${app}`;
}

async function leftAlone(world: TableWorld, image: string): Promise<string> {
  const outcomes = new Set<string>();
  for (const labels of [{ tier: 'system' }, { 'image-swapper.io/skip': 'true' }])
    outcomes.add(await seen(world, pod(image, {}, { labels }), image));
  return [...outcomes].join('; ');
}

async function dryRun(world: TableWorld, image: string): Promise<string> {
  const [made, absent] = [pod(image), await world.push()];
  const admission = await tryOut(world.plane.api, made);
  const isDecided = admission.admitted && admission.images['app'] === world.swapped(image);
  const isStored = (await world.plane.api.get(made)).status !== 404;
  await tryOut(world.plane.api, pod(absent));
  const isCopied = isStored || (await world.isMirrored(absent));
  return `${isDecided ? 'decided' : 'not decided'}, ${isCopied ? 'something' : 'nothing'} copied`;
}

async function labeledPod(world: TableWorld, live: PodObject, image: string): Promise<string> {
  const before = await world.calls();
  const admission = await label(world.plane.api, live, { touched: 'yes' });
  if (!admission.admitted) return `refused: ${admission.message}`;
  const isKept = imagesOf(await stored(world.plane.api, live))['app'] === image;
  return `${isKept ? 'images kept' : 'images changed'}, ${await callsSince(world, before)}`;
}

async function ephemeral(world: TableWorld, image: string): Promise<string> {
  const live = pod(image);
  await create(world.plane.api, live);
  const admission = await debug(world.plane.api, live, { name: 'debug', image });
  if (!admission.admitted) return `refused: ${admission.message}`;
  return admission.images['debug'] === world.swapped(image) ? 'new ones swapped' : 'unchanged';
}

async function laterSidecar(world: TableWorld, image: string): Promise<string> {
  const admission = await createWithSidecar(world.plane.api, image);
  if (!admission.admitted) return `refused: ${admission.message}`;
  return Object.values(admission.images).every((one) => one === world.swapped(image)) ? 'swapped too' : 'not seen';
}

async function manyImages(world: TableWorld, image: string): Promise<string> {
  const before = await world.calls();
  const made = await Promise.all(Array.from({ length: 200 }, () => admit(world, pod(image), image)));
  return `${made.every((one) => one === 'swapped') ? 'all swapped' : 'not all swapped'}, ${await callsSince(world, before)}`;
}

/** Waits until `policies.failClosed` has an effect in the cluster's policies. */
async function failsClosed(world: TableWorld): Promise<void> {
  const object = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicy',
    metadata: { name: 'image-swapper' },
  };
  await world.until('the policy fails closed', async () => {
    const { body } = await world.plane.api.get(object);
    return (body as { readonly spec?: { readonly failurePolicy: string } }).spec?.failurePolicy === 'Fail';
  });
}

async function seen(world: TableWorld, object: PodObject, image: string): Promise<string> {
  const before = await world.calls();
  return `${await admit(world, object, image)}, ${await callsSince(world, before)}`;
}

async function callsSince(world: TableWorld, before: number): Promise<string> {
  const calls = (await world.calls()) - before;
  return calls === 0 ? 'no call' : `${calls} calls`;
}

async function admit(world: TableWorld, object: PodObject, image: string): Promise<string> {
  const admission = await create(world.plane.api, object);
  if (!admission.admitted) return 'refused';
  const { app } = admission.images;
  return app === image ? 'unchanged' : app === world.swapped(image) ? 'swapped' : String(app);
}
