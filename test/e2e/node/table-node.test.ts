import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Helm } from '../../tools/helm.js';
import { Node } from './node.js';
import { recreateWhileAway } from './service-away.js';

/** Duration of the outage in seconds. `test/soak/service-away.test.ts` uses ten minutes. */
const OUTAGE_S = 20;

describe('a cluster with running Pods, with the table in the API server', () => {
  let node: Node;
  beforeAll(async () => {
    node = await Node.start();
  });
  afterAll(async () => node?.stop());

  it('swaps, pulls and runs every mirrored image while the service and the source are away', async () => {
    const helm = await Helm.create({ KUBECONFIG: node.plane.kubeconfig });
    const report = await recreateWhileAway(node, helm, OUTAGE_S);
    process.stderr.write(`${JSON.stringify(report)}\n`);
    expect(report.rounds).toBeGreaterThan(0);
    expect(report.pods).toBe(report.rounds * 12);
  });
});
