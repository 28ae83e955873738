import { describe, expect, it } from 'vitest';
import { CopyGate } from '../../../extension-service/src/mirror/copy-gate.js';
import type { CopyRole, CopyRequest } from '../../../extension-service/src/mirror/copy-gate.js';
import type { Copier, CopyOutcome } from '../../../extension-service/src/mirror/copier.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import { imageJob, pullOf } from '../kubernetes/workloads.js';

const OUTCOME: CopyOutcome = {
  digest: `sha256:${'a'.repeat(64)}`,
  upToDate: false,
  platforms: [],
  bytes: { uploaded: 1, mounted: 0, skipped: 0 },
  requests: 1,
};

const wish = (waits: boolean): CopyRequest => ({ isAwaited: waits, swapped: false });
const AWAITED_REQUEST = wish(true);
const DELAYED = wish(false);

/** A gate and its queue, in which copies end only when the test ends them. */
function world(role: CopyRole) {
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const broken: string[] = [];
  const copier: Copier = {
    copy: ({ source }, signal) => {
      const name = source.replace(/^.*\/|:1$/g, '');
      started.push(name);
      return new Promise((resolve, reject) => {
        ends.push(() => resolve(OUTCOME));
        signal.addEventListener('abort', () => {
          broken.push(name);
          reject(new Error('broken off'));
        });
      });
    },
  };
  const queue = new MirrorQueue(copier, { concurrency: 1 });
  const gate = new CopyGate(queue, role, ({ pull }: MirrorJob) => pull?.namespace !== 'kube-system');
  return { queue, gate, started, ends, broken };
}

describe('ownership of a copy', () => {
  it.each<readonly [CopyRole, boolean, boolean]>([
    ['alone', false, true],
    ['alone', true, true],
    ['leader', false, true],
    ['leader', true, true],
    ['follower', false, false],
    ['follower', true, true],
    ['starting', false, false],
    ['starting', true, true],
  ])('as %s, awaited: %s, belongs to this replica: %s', async (role, waits, ours) => {
    const { gate, started, ends } = world(role);
    const { handedOver, result } = gate.enqueue(imageJob('app', pullOf('team-a')), wish(waits));
    expect({ handedOver, started }).toEqual({ handedOver: !ours, started: ours ? ['app'] : [] });
    ends[0]?.();
    expect(await result).toMatchObject(ours ? { ok: true } : { ok: false, failure: { reason: 'stopped' } });
  });

  it('belongs to this replica where the leader does not watch', () => {
    const { gate, started } = world('follower');
    expect(gate.enqueue(imageJob('app', pullOf('kube-system')), DELAYED).handedOver).toBe(false);
    expect(started).toEqual(['app']);
  });
});

describe('when the role is known', () => {
  it.each<readonly [CopyRole, readonly string[]]>([
    ['leader', ['app']],
    ['alone', ['app']],
    ['follower', []],
  ])('as %s, copies held jobs: %j', (role, copied) => {
    const { gate, started } = world('starting');
    gate.enqueue(imageJob('app'), DELAYED);
    gate.setRole('starting');
    expect(started).toEqual([]);
    gate.setRole(role);
    expect(started).toEqual(copied);
  });

  it('holds at most a thousand jobs, because the leader finds the others', () => {
    const { gate, queue } = world('starting');
    for (let pods = 0; pods < 3_000; pods += 1) gate.enqueue(imageJob(`app-${pods}`), DELAYED);
    gate.setRole('leader');
    expect(queue.list()).toHaveLength(1_000);
  });
});

describe('when the Lease is lost', () => {
  it.each<CopyRole>(['follower', 'starting'])(
    'as %s, hands back jobs that no request waits for, aborts running ones, and continues with the others',
    async (role) => {
      const { gate, queue, started, ends, broken } = world('leader');
      const running = gate.enqueue(imageJob('running'), DELAYED);
      const queued = gate.enqueue(imageJob('queued'), DELAYED);
      const awaited = gate.enqueue(imageJob('awaited'), AWAITED_REQUEST);
      const joined = gate.enqueue(imageJob('joined'), DELAYED);
      gate.enqueue(imageJob('joined'), AWAITED_REQUEST);
      const system = gate.enqueue(imageJob('system', pullOf('kube-system')), DELAYED);
      const sources = ['running', 'queued'].map((name) => imageJob(name).source);
      expect(gate.setRole(role).map(({ source }) => source)).toEqual(sources);
      expect(broken).toEqual(['running']);
      for (const { result } of [running, queued]) {
        expect(await result).toMatchObject({ ok: false, failure: { reason: 'stopped', retryable: true } });
      }
      for (let end = 0; end < 4; end += 1) {
        ends[end]?.();
        await new Promise((resolve) => setTimeout(resolve));
      }
      // `system`, a copy for another namespace, uses the reserved slot.
      expect(started).toEqual(['running', 'system', 'awaited', 'joined']);
      for (const { result } of [awaited, joined, system]) expect(await result).toMatchObject({ ok: true });
      expect(queue.counts()).toEqual({ queued: 0, running: 0, waiting: 0, failed: 0, done: 3 });
    },
  );

  it('continues a running copy that a request waits for', () => {
    const { gate, broken } = world('leader');
    gate.enqueue(imageJob('app'), DELAYED);
    gate.enqueue(imageJob('app'), AWAITED_REQUEST);
    gate.setRole('follower');
    expect(broken).toEqual([]);
  });

  it('hands back nothing when no replica leads', () => {
    const { gate, queue } = world('leader');
    gate.enqueue(imageJob('running'), DELAYED);
    gate.enqueue(imageJob('queued'), DELAYED);
    expect(gate.setRole('alone')).toEqual([]);
    expect(queue.counts()).toMatchObject({ queued: 1, running: 1 });
  });

  it('accepts the same image again when it leads again', async () => {
    const { gate, queue } = world('leader');
    gate.enqueue(imageJob('running'), DELAYED);
    gate.enqueue(imageJob('queued'), DELAYED);
    gate.setRole('follower');
    gate.setRole('leader');
    gate.enqueue(imageJob('queued'), DELAYED);
    await new Promise((resolve) => setTimeout(resolve));
    expect(queue.counts()).toMatchObject({ queued: 0, running: 1 });
  });
});

describe('as a follower', () => {
  it('leaves jobs to the leader that have not started and that no request waits for, and continues running ones', async () => {
    const { gate, queue, started, ends, broken } = world('starting');
    gate.setRole('follower');
    const running = gate.enqueue(imageJob('running'), AWAITED_REQUEST);
    const queued = gate.enqueue(imageJob('queued'), AWAITED_REQUEST);
    const twice = [1, 2].map(() => gate.enqueue(imageJob('twice'), AWAITED_REQUEST));
    const system = gate.enqueue(imageJob('system', pullOf('kube-system')), AWAITED_REQUEST);
    for (const start of [running, queued, twice[0], system]) start?.release?.();
    expect(await queued.result).toMatchObject({ ok: false, failure: { reason: 'stopped' } });
    // `system` uses the slot that is reserved for other namespaces.
    expect(queue.counts()).toMatchObject({ running: 2, queued: 1 });
    twice[1]?.release?.();
    ends[0]?.();
    await new Promise((resolve) => setTimeout(resolve));
    expect({ started, broken }).toEqual({ started: ['running', 'system'], broken: [] });
  });

  it('keeps jobs as leader that no request waits for', () => {
    const { gate, queue } = world('leader');
    gate.enqueue(imageJob('running'), AWAITED_REQUEST);
    gate.enqueue(imageJob('queued'), AWAITED_REQUEST).release?.();
    expect(queue.counts()).toMatchObject({ running: 1, queued: 1 });
  });
});
