import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goToolsAvailable } from '../../tools/tool.js';
import { observeCoreRows } from './core-rows.js';
import { ENGINES } from './engines.js';
import { Outcomes } from './outcomes.js';
import { FORMER_KUBERNETES } from './versions.js';
import { observeVerification, VERIFICATION_TABLE, verificationLines } from './verification.js';
import { World } from './world.js';

const available = await goToolsAvailable('the policies in a cluster of the version before');

/** docs/engines.md describes the current Kubernetes, which matrix.test.ts tests completely. */
describe.skipIf(!available)(`the policies with Kubernetes ${FORMER_KUBERNETES}`, () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ kubernetes: FORMER_KUBERNETES });
  });
  afterAll(async () => world?.stop());

  it.each(ENGINES)('$name does what docs/engines.md says', async (engine) => {
    const version = await world.plane.api.send('GET', '/version');
    expect(version.body).toMatchObject({ gitVersion: `v${FORMER_KUBERNETES}` });
    const documented = await Outcomes.documented(engine.name);
    const seen = await observeCoreRows(world, engine);
    expect(Object.keys(seen).length).toBeGreaterThan(8);
    expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((row) => [row, documented[row]])));
  });

  // This test is last because it stops the source.
  it('policies that verify signatures do beside a swap what docs/kyverno.md says', async () => {
    const engines = ENGINES.filter(({ name }) => name === 'Kyverno MutatingPolicy, http');
    const seen = verificationLines(await observeVerification(world, engines));
    expect(seen).toHaveLength(5);
    expect(await VERIFICATION_TABLE.lines()).toEqual(expect.arrayContaining(seen));
  });
});
