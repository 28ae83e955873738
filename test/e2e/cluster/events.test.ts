import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import type { CopyUpdate } from '../../../extension-service/src/kubernetes/copy-update.js';
import { ClusterEvents } from '../../../extension-service/src/kubernetes/events/cluster-events.js';
import { EventRecorder } from '../../../extension-service/src/kubernetes/events/event-recorder.js';
import type { ObjectReference } from '../../../extension-service/src/kubernetes/object-reference.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { expectOk } from './kube-api.js';
import { WATCHING, serviceAccount } from './service-account.js';
import { untilWith } from '../../fakes/until.js';

const available = await goToolsAvailable('Events at a real API server');

interface Event {
  readonly metadata: { readonly name: string };
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly [key: string]: unknown;
}

/**
 * The tests write Events with the permissions of the service's ServiceAccount. Another client reads them with kubectl's
 * selectors.
 */
describe.skipIf(!available)('Events at a real API server', () => {
  let plane: ControlPlane;
  let log: string[] = [];
  const recorders: EventRecorder[] = [];

  beforeAll(async () => {
    plane = await ControlPlane.start();
    const account = { namespace: 'image-swapper', name: 'image-swapper', rights: WATCHING };
    await writeFile(join(plane.folder, 'service'), await serviceAccount(plane.api, account));
    const otherAccount = { namespace: 'image-swapper', name: 'stranger', rights: {} };
    await writeFile(join(plane.folder, 'stranger'), await serviceAccount(plane.api, otherAccount));
    for (const name of ['team-a', 'doomed']) {
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
  }, 180_000);
  afterEach(async () => {
    await Promise.all(recorders.splice(0).map(async (recorder) => recorder.stop()));
    log = [];
  });
  afterAll(async () => plane?.stop(), 60_000);

  async function recorder(account = 'service'): Promise<EventRecorder> {
    const cluster = await connectCluster({ KUBECONFIG: join(plane.folder, account) });
    if (cluster === undefined) throw new Error('KUBECONFIG was not read');
    const started = new EventRecorder({
      api: new ClusterEvents(cluster.core, 'swapper-7f9-x2x'),
      log: (level, message) => log.push(`${level}: ${message}`),
    });
    recorders.push(started);
    return started;
  }

  async function deployment(name: string, namespace = 'team-a'): Promise<ObjectReference> {
    const labels = { app: 'main' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'nginx:1.27' }] } };
    const { body } = await plane.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: { selector: { matchLabels: labels }, template },
    });
    const { uid } = (body as { readonly metadata: { readonly uid: string } }).metadata;
    return { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name, uid };
  }

  /** Returns the Events that `kubectl describe` requests. */
  async function eventsOn({ uid, namespace, name, kind }: ObjectReference): Promise<readonly Event[]> {
    const selector = `involvedObject.uid=${uid},involvedObject.name=${name},involvedObject.kind=${kind}`;
    const path = `/api/v1/namespaces/${namespace}/events?fieldSelector=${encodeURIComponent(selector)}`;
    const { body } = expectOk(await plane.api.send('GET', path), 'list Events');
    return (body as { readonly items: readonly Event[] }).items;
  }
  const until = untilWith(() => log.join('\n'));

  const count = async (object: ObjectReference): Promise<number | undefined> => (await eventsOn(object))[0]?.count;

  function failed(user: ObjectReference, more: Partial<CopyUpdate> = {}): CopyUpdate {
    const failure = { reason: 'unreachable', message: 'connection refused', retryable: true } as const;
    return {
      source: 'docker.io/library/nginx:1.27',
      target: 'default',
      reference: 'target.test/docker.io/library/nginx:1.27',
      users: [user],
      result: { ok: false, failure, nextTry: Date.now() + 40_000 },
      ...more,
    };
  }

  it('are found on the Deployment, and grow in count instead of number, over several leaders', async () => {
    const web = await deployment('web');
    const first = await recorder();
    for (let times = 1; times <= 3; times += 1) {
      first.record(failed(web));
      await until(`count ${times}`, async () => (await count(web)) === times);
    }
    await first.stop();
    const second = await recorder();
    second.record(failed(web));
    await until('the count of another leader', async () => (await count(web)) === 4);
    second.record({ ...failed(web), result: { ok: true, upToDate: false, digest: 'sha256:abc' } });
    await until('the end', async () => (await eventsOn(web)).length === 2);
    const [failure, done] = [...(await eventsOn(web))].sort((a, b) => b.count - a.count);
    expect(failure).toMatchObject({
      type: 'Warning',
      reason: 'MirrorFailed',
      message:
        'copying docker.io/library/nginx:1.27 to target.test/docker.io/library/nginx:1.27 failed: unreachable: connection refused; next attempt in 40 s',
      involvedObject: web,
      reportingComponent: 'image-swapper',
      reportingInstance: 'swapper-7f9-x2x',
    });
    expect(Date.parse(String(failure?.['lastTimestamp']))).toBeGreaterThan(
      Date.parse(String(failure?.['firstTimestamp'])) - 1,
    );
    expect(done).toMatchObject({ type: 'Normal', reason: 'Mirrored', count: 1 });
    expect(log).toEqual([]);
  });

  it('are shown by the newer API too', async () => {
    const web = await deployment('newer');
    (await recorder()).record(failed(web));
    await until('an Event', async () => (await eventsOn(web)).length === 1);
    const path = `/apis/events.k8s.io/v1/namespaces/team-a/events/${(await eventsOn(web))[0]?.metadata.name ?? ''}`;
    expect(expectOk(await plane.api.send('GET', path), 'get').body).toMatchObject({
      regarding: web,
      reason: 'MirrorFailed',
      reportingController: 'image-swapper',
      deprecatedCount: 1,
    });
  });

  it('are accepted for any names of images and failures', async () => {
    const web = await deployment(`w${'-x'.repeat(120)}`);
    const hostileText = `\u0000\u001b[2J\r\n\u202e"'\\{{ .x }}\ud800${'ä'.repeat(3_000)}`;
    const failure = { reason: 'internal', message: hostileText, retryable: false } as const;
    const hostile = await recorder();
    hostile.record(failed(web, { source: `docker.io/${hostileText}`, reference: hostileText }));
    hostile.record(failed(web, { result: { ok: false, failure } }));
    hostile.record(failed(web, { result: { ok: false, failure, nextTry: Number.MAX_VALUE } }));
    await until('two Events', async () => (await eventsOn(web)).length === 2);
    for (const { message } of await eventsOn(web)) expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1_024);
  });

  it('are dropped for a deleted namespace and written for others', async () => {
    const [gone, here] = [await deployment('web', 'doomed'), await deployment('here')];
    // Without a controller that empties it, the namespace keeps terminating.
    expectOk(await plane.api.send('DELETE', '/api/v1/namespaces/doomed'), 'delete the namespace');
    const nowhere = { ...gone, namespace: 'never-there', uid: 'nowhere' };
    const recorded = await recorder();
    recorded.record(failed(gone, { users: [gone, nowhere, here] }));
    await until('an Event', async () => (await eventsOn(here)).length === 1);
    expect(await eventsOn(gone)).toEqual([]);
    expect(log.filter((line) => !line.startsWith('debug'))).toEqual([]);
  });

  it('are not written without the right to do so, which a message names', async () => {
    const web = await deployment('silent');
    (await recorder('stranger')).record(failed(web));
    await until('a warning', async () => Promise.resolve(log.length > 0));
    expect(log).toEqual([expect.stringMatching(/^warn: .*grant .* the verb create on events; or set events.enabled/)]);
    expect(await eventsOn(web)).toEqual([]);
  });
});
