import { describe, expect, it } from 'vitest';
import { CopyGate } from '../../../extension-service/src/mirror/copy-gate.js';
import type { CopyRole } from '../../../extension-service/src/mirror/copy-gate.js';
import type { Copier, CopyOutcome, MirrorJob } from '../../../extension-service/src/mirror/job.js';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { imageJob, pullOf } from '../kubernetes/workloads.js';

const OUTCOME: CopyOutcome = {
  digest: `sha256:${'a'.repeat(64)}`,
  upToDate: false,
  platforms: [],
  bytes: { uploaded: 1, mounted: 0, skipped: 0 },
  requests: 1,
};

/** A queue in which nothing ends before the test says so, and its gate. */
function world(role: CopyRole) {
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const copier: Copier = {
    copy: ({ source }) => {
      started.push(source.replace(/^.*\/|:1$/g, ''));
      return new Promise((resolve) => ends.push(() => resolve(OUTCOME)));
    },
  };
  const queue = new MirrorQueue(copier, { concurrency: 1 });
  const gate = new CopyGate(queue, role, ({ pull }: MirrorJob) => pull?.namespace !== 'kube-system');
  return { queue, gate, started, ends };
}

describe('whose copy it is', () => {
  it.each<readonly [CopyRole, boolean, boolean]>([
    ['alone', false, true],
    ['alone', true, true],
    ['leader', false, true],
    ['leader', true, true],
    ['follower', false, false],
    ['follower', true, true],
    ['starting', false, false],
    ['starting', true, true],
  ])('as %s, waited for: %s, it is ours: %s', async (role, waits, ours) => {
    const { gate, started, ends } = world(role);
    const { handedOver, result } = gate.enqueue(imageJob('app', pullOf('team-a')), waits);
    expect({ handedOver, started }).toEqual({ handedOver: !ours, started: ours ? ['app'] : [] });
    ends[0]?.();
    expect(await result).toMatchObject(ours ? { ok: true } : { ok: false, failure: { reason: 'stopped' } });
  });

  it('is ours where the leader does not look', () => {
    const { gate, started } = world('follower');
    expect(gate.enqueue(imageJob('app', pullOf('kube-system')), false).handedOver).toBe(false);
    expect(started).toEqual(['app']);
  });
});

describe('when the role is known', () => {
  it.each<readonly [CopyRole, readonly string[]]>([
    ['leader', ['app']],
    ['alone', ['app']],
    ['follower', []],
  ])('as %s, what was held is copied: %j', (role, copied) => {
    const { gate, started } = world('starting');
    gate.enqueue(imageJob('app'), false);
    gate.become('starting');
    expect(started).toEqual([]);
    gate.become(role);
    expect(started).toEqual(copied);
  });

  it('holds a thousand, which the leader finds anyway', () => {
    const { gate, queue } = world('starting');
    for (let pods = 0; pods < 3_000; pods += 1) gate.enqueue(imageJob(`app-${pods}`), false);
    gate.become('leader');
    expect(queue.list()).toHaveLength(1_000);
  });
});

describe('when the Lease is lost', () => {
  it.each<CopyRole>(['follower', 'starting'])(
    'as %s, hands back what has not begun, and nothing else',
    async (role) => {
      const { gate, queue, started, ends } = world('leader');
      const running = gate.enqueue(imageJob('running'), false);
      const queued = gate.enqueue(imageJob('queued'), false);
      const awaited = gate.enqueue(imageJob('awaited'), true);
      const joined = gate.enqueue(imageJob('joined'), false);
      gate.enqueue(imageJob('joined'), true);
      const system = gate.enqueue(imageJob('system', pullOf('kube-system')), false);
      expect(gate.become(role).map(({ source }) => source)).toEqual(['docker.io/library/queued:1']);
      expect(await queued.result).toMatchObject({ ok: false, failure: { reason: 'stopped', retryable: true } });
      for (let end = 0; end < 4; end += 1) {
        ends[end]?.();
        await new Promise((resolve) => setTimeout(resolve));
      }
      expect(started).toEqual(['running', 'awaited', 'joined', 'system']);
      for (const { result } of [running, awaited, joined, system]) expect(await result).toMatchObject({ ok: true });
      expect(queue.counts()).toMatchObject({ queued: 0, running: 0, done: 4 });
    },
  );

  it('hands back nothing when it turns out that nobody leads', () => {
    const { gate, queue } = world('leader');
    gate.enqueue(imageJob('running'), false);
    gate.enqueue(imageJob('queued'), false);
    expect(gate.become('alone')).toEqual([]);
    expect(queue.counts()).toMatchObject({ queued: 1, running: 1 });
  });

  it('takes the same image again when it leads again', () => {
    const { gate, queue } = world('leader');
    gate.enqueue(imageJob('running'), false);
    gate.enqueue(imageJob('queued'), false);
    gate.become('follower');
    gate.become('leader');
    gate.enqueue(imageJob('queued'), false);
    expect(queue.counts()).toMatchObject({ queued: 1, running: 1 });
  });
});
