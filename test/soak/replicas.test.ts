import { afterAll, beforeAll, describe, it } from 'vitest';
import { ControlPlane } from '../e2e/cluster/control-plane.js';
import { killReplicas } from '../e2e/cluster/killing.js';
import { runOutages } from '../e2e/cluster/outages.js';
import { NAMESPACE } from '../e2e/cluster/pods.js';
import { goToolsAvailable } from '../tools/tool.js';

const available = await goToolsAvailable('replicas over minutes');

describe.skipIf(!available)('replicas over minutes', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await ControlPlane.start();
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  });
  afterAll(async () => plane?.stop());

  it('lose none of 200 copies when one is killed every 5 s for 2 minutes', async () => {
    const outcome = await killReplicas(plane, { images: 200, seconds: 120, rate: 30_000, layerSize: 60_000 });
    process.stderr.write(`${outcome}\n`);
  });

  it('recover after a minute without the source, with a busy target, without the API server', async () => {
    const outcome = await runOutages(plane, { seconds: 60, images: 30, patience: 240 });
    process.stderr.write(`${outcome}\n`);
  });
});
