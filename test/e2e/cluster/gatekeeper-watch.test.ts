import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { renderGatekeeper } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { images } from './crowd.js';
import { startGatekeeper } from './gatekeeper-manager.js';
import type { GatekeeperProcess } from './gatekeeper-manager.js';
import type { ApiObject } from './kube-api.js';
import { create, imagesOf, NAMESPACE, pod, stored, tryOut } from './pods.js';

import { Puller } from './puller.js';
import { Replicas } from './replicas.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('Gatekeeper and the watch of Pods');
const [USER, PASSWORD] = ['robot', 'only-in-the-secret'];

/** Gatekeeper does not send the Pod, so its requests do not start copies. The watch sees the Pod and its secrets. */
describe.skipIf(!available)('Gatekeeper and the watch of Pods', () => {
  let plane: ControlPlane;
  let manager: GatekeeperProcess;
  let [source, target]: [FakeRegistry | undefined, RealRegistry | undefined] = [undefined, undefined];
  let replicas: Replicas;

  beforeAll(async () => {
    plane = await ControlPlane.start();
    for (const name of [NAMESPACE, 'image-swapper']) {
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    manager = await startGatekeeper(plane, gatekeeperChartValues({ timeoutSeconds: 2 }));
  }, 240_000);
  afterAll(async () => {
    await replicas?.stop();
    await manager?.program.stop();
    await plane?.stop();
    await Promise.all([source?.close(), target?.stop()]);
  }, 60_000);

  it('copies a private image for its Pod and swaps it in the next Pod', async () => {
    source = await FakeRegistry.start({ auth: { type: 'bearer', users: { [USER]: PASSWORD } } });
    target = await RealRegistry.start();
    const { host } = source;
    const [image] = images(source, host, 'private', 1, { layerSize: 2_000 });
    if (image === undefined) throw new Error('there is no image');
    replicas = await Replicas.start(plane, 1, {
      source: host,
      target: target.host,
      plain: false,
      config: { policies: { engine: 'gatekeeper' }, answerBudget: '700ms' },
    });
    const [replica] = replicas.running;
    const url = replica?.service.url ?? '';
    const caBundle = replica?.service.ca ?? '';
    for (const object of renderGatekeeper({ url, caBundle, timeoutSeconds: 2 })) {
      await plane.api.apply(object as unknown as ApiObject);
    }
    await plane.api.apply(pullSecret(host));

    const asked = (): Promise<number> => replicas.sum('image_swapper_resolve_requests_total', 'route="gatekeeper"');
    await until('Gatekeeper asks the service', async () => {
      await tryOut(plane.api, pod(image.reference));
      return (await asked()) > 0;
    });
    // Neither a dry run nor Gatekeeper's request starts a copy.
    expect(source.accessLog).toEqual([]);

    const puller = new Puller(target.host, [image.repository]);
    puller.start();
    try {
      const first = pod(image.reference, { imagePullSecrets: [{ name: 'registry' }] });
      expect(await create(plane.api, first)).toMatchObject({ images: { app: image.reference } });
      await puller.complete(30, () => replicas.lastLogLines());
      expect(puller.broken).toEqual([]);
      expect(puller.pulled.get(image.repository)).toBe(image.digest);
      expect(imagesOf(await stored(plane.api, first))).toEqual({ app: image.reference });
    } finally {
      await puller.stop();
    }
    const reads = source.accessLog.filter(({ path, status }) => path.includes('/private') && status === 200);
    expect(new Set(reads.map(({ user }) => user))).toEqual(new Set([USER]));
    await until('the next Pod is swapped', async () => {
      const admission = await create(plane.api, pod(image.reference));
      return admission.admitted && admission.images['app'] === `${target?.host ?? ''}/${image.repository}:1`;
    });
  }, 120_000);
});

function pullSecret(host: string): ApiObject {
  const auth = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
  const document = JSON.stringify({ auths: { [host]: { auth } } });
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'registry', namespace: NAMESPACE },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(document).toString('base64') },
  };
}
