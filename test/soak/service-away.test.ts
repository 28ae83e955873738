import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Node } from '../e2e/node/node.js';
import { recreateWhileAway } from '../e2e/node/service-away.js';
import { Helm } from '../tools/helm.js';

/** Duration of the outage in seconds. `test/e2e/node/table-node.test.ts` uses one minute. */
const OUTAGE_S = 600;
const TIMEOUT_MS = 1_800_000;

describe('the table in the API server over minutes', () => {
  let node: Node;
  beforeAll(async () => {
    node = await Node.start();
  });
  afterAll(async () => node?.stop());

  it(
    'swaps, pulls and runs every mirrored image while the service and the source are away for ten minutes',
    async () => {
      const helm = await Helm.create({ KUBECONFIG: node.plane.kubeconfig });
      const report = await recreateWhileAway(node, helm, OUTAGE_S);
      process.stderr.write(`${JSON.stringify(report)}\n`);
      expect(report.rounds).toBeGreaterThan(0);
      expect(report.pods).toBe(report.rounds * 12);
    },
    TIMEOUT_MS,
  );
});
