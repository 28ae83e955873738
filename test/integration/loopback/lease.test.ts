import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { ClusterLease } from '../../../extension-service/src/kubernetes/lease/cluster-lease.js';
import { LeaderElection } from '../../../extension-service/src/kubernetes/lease/leader-election.js';
import type { LeaderState, LeaseDurations } from '../../../extension-service/src/kubernetes/lease/leader-election.js';
import { copyImage } from '../../../extension-service/src/registry/copy.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { HostileRegistry } from '../../fakes/hostile-registry.js';
import { buildImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { FakeObjectServer } from '../../fakes/object-server.js';
import type { ApiFault, ApiRequest } from '../../fakes/object-server.js';
import { until } from '../../fakes/until.js';

const PATH = '/apis/coordination.k8s.io/v1/namespaces/swapper/leases/image-swapper';
/** About a third of the service's durations, so that a busy machine still renews in time. */
const FAST_DURATIONS: LeaseDurations = {
  lease: 4_000,
  renew: 1_000,
  giveUp: 3_000,
  retry: 100,
  request: 1_000,
  refused: 3_600,
};
/** Durations for tests that block the thread. Renewals are as frequent, but a busy machine does not lose the Lease. */
const LONG_LEASE: LeaseDurations = { ...FAST_DURATIONS, lease: 60_000, giveUp: 50_000, request: 20_000 };

const NO_CREDENTIALS = { resolve: async () => [] };

let api: FakeObjectServer;
let folder: string;
let replicas: Replica[];

beforeEach(async () => {
  api = await FakeObjectServer.start();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  replicas = [];
});

afterEach(async () => {
  api.fault = () => undefined;
  await Promise.all(replicas.map(async (replica) => replica.stop()));
  await api.close();
  await rm(folder, { recursive: true });
});

class Replica {
  working = false;
  state: LeaderState = { leading: false, holder: undefined };
  readonly log: string[] = [];
  private readonly stopper = new AbortController();
  private readonly done: Promise<void>;

  constructor(election: (replica: Replica) => LeaderElection) {
    this.done = election(this).run(this.stopper.signal, [{ name: 'work', lead: (signal) => this.work(signal) }]);
  }

  async stop(): Promise<void> {
    this.stopper.abort();
    await this.done;
  }

  private async work(signal: AbortSignal): Promise<void> {
    this.working = true;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    this.working = false;
  }
}

async function start(identity: string, durations = FAST_DURATIONS): Promise<Replica> {
  const cluster = await connectCluster({ KUBECONFIG: join(folder, 'kubeconfig') });
  if (cluster === undefined) throw new Error('KUBECONFIG was not read');
  const lease = await ClusterLease.connect(cluster, 'image-swapper');
  const replica = new Replica(
    (self) =>
      new LeaderElection({
        api: lease,
        identity,
        onState: (state) => (self.state = state),
        log: (level, message) => self.log.push(`${level}: ${message}`),
        durations,
      }),
  );
  replicas.push(replica);
  return replica;
}

const spec = (): Readonly<Record<string, unknown>> => api.objects.get(PATH)?.['spec'] as Record<string, unknown>;
const to = (method: string, fault: ApiFault) => (request: ApiRequest) =>
  request.method === method ? fault : undefined;

describe('the Lease at the API server', () => {
  it('is created, renewed and released in the form of other Lease clients', async () => {
    const replica = await start('a_1');
    await until('leading', () => replica.working);
    const first = spec();
    const time: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(first).toEqual({
      holderIdentity: 'a_1',
      leaseDurationSeconds: FAST_DURATIONS.lease / 1_000,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: 0,
    });
    await until('a renewal', () => spec()['renewTime'] !== first['renewTime']);
    expect(spec()).toEqual({ ...first, renewTime: time });
    await replica.stop();
    expect(replica.working).toBe(false);
    expect(spec()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0 });
    const created = api.requests.filter(({ method }) => method === 'POST');
    expect(created.map(({ path }) => path)).toEqual(['/apis/coordination.k8s.io/v1/namespaces/swapper/leases']);
    // A write with the older version would have overwritten another change.
    const patches = api.requests.filter(({ method }) => method === 'PATCH');
    for (const { body, contentType } of patches) {
      expect(contentType).toBe('application/merge-patch+json');
      expect(body).toMatchObject({ metadata: { resourceVersion: expect.stringMatching(/^\d+$/) as string } });
    }
  });

  it('keeps labels that others put on it', async () => {
    const replica = await start('a_1');
    await until('leading', () => replica.working);
    const lease = api.objects.get(PATH);
    if (lease === undefined) throw new Error('no Lease');
    api.objects.set(PATH, { ...lease, metadata: { ...lease.metadata, labels: { team: 'x' }, resourceVersion: '7' } });
    await until('a renewal', () => api.objects.get(PATH)?.metadata['resourceVersion'] !== '7');
    expect(api.objects.get(PATH)?.metadata['labels']).toEqual({ team: 'x' });
    expect(replica.working).toBe(true);
  });

  it('is created by one of several competing replicas', async () => {
    const all = await Promise.all(['a_1', 'b_2', 'c_3'].map((identity) => start(identity)));
    await until('a leader', () => all.some(({ working }) => working));
    await sleep(3 * FAST_DURATIONS.renew);
    expect(all.filter(({ working }) => working)).toHaveLength(1);
    const leader = all.find(({ working }) => working);
    await until('all know the leader', () => all.every(({ state }) => state.holder === spec()['holderIdentity']));
    await leader?.stop();
    await until('another leader', () => all.some((replica) => replica !== leader && replica.working));
    expect(spec()['leaseTransitions']).toBe(1);
  });
});

describe('an API server that', () => {
  it.each<{ what: string; fault: (request: ApiRequest) => ApiFault | undefined }>([
    { what: 'does not answer', fault: () => 'hang' },
    { what: 'does as told and does not answer', fault: () => 'do and hang' },
    { what: 'cuts connections', fault: () => 'cut' },
    { what: 'answers 500', fault: () => 500 },
    { what: 'answers 429', fault: () => 429 },
    { what: 'removes the right to renew', fault: to('PATCH', 403) },
  ])('that is $what ends leadership in time, before another replica leads', async ({ fault }) => {
    const replica = await start('a_1');
    await until('leading', () => replica.working);
    const before = spec()['renewTime'];
    await until('a renewal', () => spec()['renewTime'] !== before);
    const last = api.requests.filter(({ method }) => method === 'PATCH').at(-1)?.at ?? 0;
    api.fault = fault;
    await until('the end of leading', () => !replica.working);
    // The timer starts when the renewal is sent, but a busy machine records the request later. The test therefore
    // requires only half of the duration.
    expect(performance.now() - last).toBeGreaterThan(FAST_DURATIONS.giveUp / 2);
    expect(replica.state.leading).toBe(false);
    api.fault = () => undefined;
    await until('leading again', () => replica.working);
    expect(replica.log.filter((line) => line.startsWith('warn')).length).toBeLessThanOrEqual(4);
  });

  it.each([
    { verb: 'get', method: 'GET', status: 403 },
    { verb: 'create', method: 'POST', status: 403 },
  ])('that refuses $verb is reported once with the verb and the resource, and queried again', async (row) => {
    api.fault = to(row.method, row.status);
    const replica = await start('a_1');
    await until('unavailable', () => replica.state.unavailable !== undefined);
    expect(replica.state).toEqual({
      leading: false,
      holder: undefined,
      unavailable: `${row.verb} Lease swapper/image-swapper: forbidden (403); grant the service's ServiceAccount the verb ${row.verb} on leases.coordination.k8s.io in the namespace swapper`,
    });
    const asked = api.requests.length;
    await until('asked again', () => api.requests.length > asked + 1);
    expect(replica.log).toHaveLength(1);
    api.fault = () => undefined;
    await until('leading', () => replica.working);
    expect(replica.state).toEqual({ leading: true, holder: 'a_1' });
  });

  it('reports a missing namespace', async () => {
    api.fault = to('POST', 404);
    const replica = await start('a_1');
    await until('unavailable', () => replica.state.unavailable !== undefined);
    expect(replica.state.unavailable).toContain('does the namespace swapper exist?');
  });

  it('reports a rejected token without showing it', async () => {
    api.fault = () => 401;
    const replica = await start('a_1');
    await until('unavailable', () => replica.state.unavailable !== undefined);
    expect(replica.state.unavailable).toContain("does not accept the service's token (401)");
    expect(JSON.stringify([replica.state, replica.log])).not.toContain(api.token);
  });

  it('answers the release with a conflict gets a second request', async () => {
    const replica = await start('a_1');
    await until('leading', () => replica.working);
    let conflicts = 0;
    api.fault = ({ method, body }) => {
      const released = method === 'PATCH' && (body as { spec: { holderIdentity: string } }).spec.holderIdentity === '';
      return released && (conflicts += 1) === 1 ? 409 : undefined;
    };
    await replica.stop();
    expect(conflicts).toBe(2);
    expect(spec()['holderIdentity']).toBe('');
  });
});

describe('the Lease of a replica that copies', () => {
  it('is kept while 20 manifests of brackets arrive, because the same thread renews it', async () => {
    const image = buildImage({ layerSize: 100 });
    const hostile = await HostileRegistry.start({ attack: 'brackets', image });
    const target = await FakeRegistry.start();
    const factory = new RegistryFactory({
      endpoints: [hostile, target].map(({ host }) => ({ host, insecure: true })),
      hosts: { allow: [], deny: [] },
      env: {},
      retry: { attempts: 1 },
    });
    try {
      const replica = await start('a_1', LONG_LEASE);
      await until('leading', () => replica.working);
      let lost = 0;
      const watching = setInterval(() => (lost += replica.working ? 0 : 1), 50);
      const copies = Array.from({ length: 20 }, (_, n) =>
        copyImage({
          source: {
            client: factory.client(hostile.host, NO_CREDENTIALS),
            reference: { repository: `a/${n}`, tag: 'v1' },
          },
          target: {
            client: factory.client(target.host, NO_CREDENTIALS),
            reference: { repository: `b/${n}`, published: 'v1' },
          },
        }).catch((error: unknown) => error),
      );
      const errors = await Promise.all(copies);
      // A renewal that was missed while the thread was busy is visible now.
      const { renewTime } = spec();
      await until('renewed once more', () => spec()['renewTime'] !== renewTime);
      clearInterval(watching);
      expect(errors.filter((error) => error instanceof Error)).toHaveLength(20);
      expect({ lost, working: replica.working, log: replica.log.filter((line) => line.startsWith('warn')) }).toEqual({
        lost: 0,
        working: true,
        log: [],
      });
      expect(spec()).toMatchObject({ holderIdentity: 'a_1' });
    } finally {
      factory.close();
      await Promise.all([hostile.close(), target.close()]);
    }
  });
});
