import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { get } from '../../fakes/https-client.js';
import { RunningService } from '../../fakes/service.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { WATCHING, serviceAccount } from './service-account.js';

const available = await goToolsAvailable('the Lease at a real API server');
const LEASE = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'image-swapper', namespace: 'image-swapper' },
} as const;

/** Several replicas of the built service with the permissions of its ServiceAccount. Another client reads the Lease. */
describe.skipIf(!available)('the Lease at a real API server', () => {
  let plane: ControlPlane;
  const services = new Set<RunningService>();

  beforeAll(async () => {
    plane = await ControlPlane.start();
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights: WATCHING };
    await writeFile(join(plane.folder, 'service'), await serviceAccount(plane.api, account));
    const otherAccount = { namespace: 'image-swapper', name: 'stranger', rights: { cluster: WATCHING.cluster ?? [] } };
    await writeFile(join(plane.folder, 'stranger'), await serviceAccount(plane.api, otherAccount));
  }, 180_000);
  afterEach(async () => {
    await Promise.all([...services].map((service) => service.stop('SIGKILL')));
    services.clear();
    await plane.api.remove(LEASE);
  });
  afterAll(async () => plane?.stop(), 60_000);

  async function start(pod: string, account = 'service'): Promise<RunningService> {
    const service = await RunningService.start({
      config: 'target: {type: oci, oci: {registry: "127.0.0.1:9", insecure: true}}',
      env: { KUBECONFIG: join(plane.folder, account), POD_NAME: pod },
      plain: true,
    });
    services.add(service);
    return service;
  }

  async function spec(): Promise<Readonly<Record<string, string | number>>> {
    const { status, body } = await plane.api.get(LEASE);
    return status === 200 ? (body as { readonly spec: Readonly<Record<string, string | number>> }).spec : {};
  }

  /** @returns the milliseconds until that Pod holds the Lease with a process other than `not` */
  async function heldBy(pod: string, not = ''): Promise<number> {
    const begin = performance.now();
    for (;;) {
      const holder = String((await spec())['holderIdentity'] ?? '');
      if (holder.startsWith(`${pod}_`) && holder !== not) return performance.now() - begin;
      if (performance.now() - begin > 60_000) throw new Error(`held by ${holder}, not by ${pod}`);
      await sleep(20);
    }
  }

  it('is taken over as soon as it has expired when its holder is killed', async () => {
    const first = await start('pod-a');
    await heldBy('pod-a');
    await start('pod-b');
    await sleep(3_000);
    const before = await spec();
    const time: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const holderIdentity: unknown = expect.stringMatching(/^pod-a_[0-9a-f-]{36}$/);
    const written = {
      holderIdentity,
      leaseDurationSeconds: 8,
      leaseTransitions: 0,
      acquireTime: time,
      renewTime: time,
    };
    expect(before).toEqual(written);
    expect(before['renewTime']).not.toBe(before['acquireTime']);
    await first.stop('SIGKILL');
    const taken = await heldBy('pod-b');
    process.stderr.write(`taken over ${Math.round(taken)} ms after a kill\n`);
    // The takeover must not happen before the holder has certainly stopped, but soon after the expiry.
    expect(taken).toBeGreaterThan(5_000);
    expect(taken).toBeLessThan(20_000);
    expect(await spec()).toMatchObject({ leaseTransitions: 1 });
  });

  it('is taken over at once by a container that replaces its holder in the Pod', async () => {
    const first = await start('pod-a');
    await heldBy('pod-a');
    const holder = String((await spec())['holderIdentity']);
    await first.stop('SIGKILL');
    await start('pod-a');
    const taken = await heldBy('pod-a', holder);
    process.stderr.write(`taken over ${Math.round(taken)} ms after the container's next start\n`);
    // The expiry would take longer, see above.
    expect(taken).toBeLessThan(5_000);
  });

  it('is released by a stopping holder and taken over before it would expire', async () => {
    const first = await start('pod-a');
    await heldBy('pod-a');
    await start('pod-b');
    await sleep(3_000);
    const exit = await first.stop('SIGTERM');
    const taken = await heldBy('pod-b');
    process.stderr.write(`taken over ${Math.round(taken)} ms after a stop\n`);
    expect(exit.code).toBe(0);
    // The expiry would take longer, see above.
    expect(taken).toBeLessThan(5_000);
  });

  it('is reported with the missing verb and resource when it may not be read, and copies begin later', async () => {
    const service = await start('pod-a', 'stranger');
    const missing = 'the verb get on leases.coordination.k8s.io in the namespace image-swapper';
    for (let tries = 0; !service.log.some(({ message }) => message.includes(missing)); tries += 1) {
      if (tries > 200) throw new Error(service.log.map((line) => JSON.stringify(line)).join('\n'));
      await sleep(100);
    }
    // Other replicas may have the permission. For a while, this one waits for them instead of copying in parallel.
    const copies = async (): Promise<boolean> =>
      (await get(`${service.operations}/metrics`)).text.includes('\nimage_swapper_leader 1\n');
    const begin = performance.now();
    while (!(await copies())) {
      if (performance.now() - begin > 60_000) throw new Error('nobody copies');
      await sleep(200);
    }
    expect(performance.now() - begin).toBeGreaterThan(10_000);
    expect((await plane.api.get(LEASE)).status).toBe(404);
  });
});
