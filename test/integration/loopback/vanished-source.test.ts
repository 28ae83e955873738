import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import type { CopyUpdate } from '../../../extension-service/src/kubernetes/copy-update.js';
import type { CopyReport } from '../../../extension-service/src/kubernetes/copy-report.js';
import { copyEvents } from '../../../extension-service/src/kubernetes/events/copy-event.js';
import { clusterLists } from '../../../extension-service/src/kubernetes/watch/cluster-lists.js';
import { clusterWatches } from '../../../extension-service/src/kubernetes/watch/cluster-watches.js';
import { Reconciler } from '../../../extension-service/src/kubernetes/workloads/reconciler.js';
import type { WatchReport } from '../../../extension-service/src/kubernetes/workloads/watch-reports.js';
import { RegistryCopier } from '../../../extension-service/src/mirror/registry-copier.js';
import { CopyFailedError } from '../../../extension-service/src/registry/copy-failure.js';
import { FakeCluster } from '../../fakes/cluster/fake-cluster.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { until } from '../../fakes/until.js';

const MINUTE = 60_000;
const image = buildImage();

let cluster: FakeCluster;
let source: FakeRegistry;
let target: FakeRegistry;
let copier: RegistryCopier;
/** The current time for all parts of the leader, milliseconds since the epoch. */
let clock = Date.parse('2026-03-01T12:00:00Z');
const news: CopyUpdate[] = [];
const lines: string[] = [];
const tries: CopyReport[] = [];
let report: WatchReport | undefined;
const end = new AbortController();
let leading: Promise<void>;

beforeAll(async () => {
  [cluster, source, target] = [await FakeCluster.start(), await FakeRegistry.start(), await FakeRegistry.start()];
  loadImage(source, 'app', image, '1');
  cluster.collection('/api/v1/pods').put(smallPod('web', `${source.host}/app:1`, 'team-a'));
  const text = stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    mirror: { refresh: { interval: '30m' } },
  });
  const { config } = parseConfig({ text, file: 'image-swapper.yaml', env: {} });
  copier = new RegistryCopier(config, {
    env: {},
    readSecret: () => Promise.reject(new Error('no Secret')),
    cloud: () => undefined,
    report: () => undefined,
    pullSecrets: { forPod: () => Promise.resolve(undefined), configure: () => undefined },
  });
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromString(cluster.kubeconfig());
  const rules = compileRules(config, namingTarget);
  const copy = async (job: MirrorJob): Promise<CopyReport['result']> => {
    try {
      const { upToDate, digest } = await copier.copy(job, end.signal, () => undefined);
      return { ok: true, upToDate, digest };
    } catch (error) {
      if (!(error instanceof CopyFailedError)) throw error;
      return { ok: false, failure: error.failure };
    }
  };
  const reconciler = new Reconciler({
    access: { lists: clusterLists(kubeconfig), watches: await clusterWatches(kubeconfig) },
    configuration: () => ({ config, rules }),
    ownNamespace: undefined,
    want: (jobs) => {
      for (const job of jobs)
        void copy(job).then((result) => {
          reconciler.copied({ job, result });
          reconciler.settled({ job, result });
          tries.push({ job, result });
        });
    },
    onCopyUpdate: (one) => void news.push(one),
    onReport: (one) => (report = one),
    log: (level, message) => void lines.push(`${level} ${message}`),
    now: () => clock,
  });
  leading = reconciler.lead(end.signal);
});
afterAll(async () => {
  end.abort();
  await leading;
  copier.close();
  await Promise.all([cluster.close(), source.close(), target.close()]);
});

/** Advances the clock and waits for the next comparison of the tag with its source. */
async function compared(minutes: number): Promise<CopyReport['result']> {
  const before = tries.length;
  clock += minutes * MINUTE;
  await until('a comparison', () => tries.slice(before).some(({ job }) => job.force));
  const last = tries.findLast(({ job }) => job.force);
  if (last === undefined) throw new Error('nothing was compared');
  return last.result;
}

const inTarget = (): string | undefined => target.manifest(`mirror/${source.host.replace(':', '_')}/app`, '1')?.digest;

describe('a tag that its source has lost', () => {
  it('is reported with its workloads after three checks over an hour, and the target keeps it', async () => {
    // The next comparison is planned when the copy is reported, by the clock of that moment.
    await until('the copy', () => tries.length > 0);
    expect(inTarget()).toBe(image.digest);
    source.deleteManifest('app', '1');
    source.deleteManifest('app', image.digest);
    expect(await compared(31)).toMatchObject({ ok: false, failure: { reason: 'absent' } });
    await compared(31);
    expect(lines.filter((line) => line.includes('gone from its registry'))).toEqual([]);
    await compared(31);
    const app = `${source.host}/app:1`;
    const mirrored = `${target.host}/mirror/${source.host.replace(':', '_')}/app:1`;
    await until('the line', () => lines.some((line) => line.includes('gone from its registry')));
    expect(lines.filter((line) => line.includes('gone from its registry'))).toEqual([
      expect.stringContaining(
        `warn ${app} has been gone from its registry since 2026-03-01T12:31:00.000Z (3 lookups); ${mirrored} is kept. It is used by Pod team-a/web: `,
      ),
    ]);
    const last = news.at(-1);
    if (last === undefined) throw new Error('no news');
    expect(copyEvents(last, clock)).toMatchObject([
      { reason: 'SourceVanished', type: 'Warning', object: { kind: 'Pod', name: 'web', namespace: 'team-a' } },
    ]);
    await until('the report', () => report?.vanished['default'] === 1);
    expect(inTarget()).toBe(image.digest);

    loadImage(source, 'app', image, '1');
    expect(await compared(31)).toMatchObject({ ok: true });
    await until('the report', () => report !== undefined && report.vanished['default'] === undefined);
    expect(lines).toContain(`info ${app} is back at its registry`);
  });
});
