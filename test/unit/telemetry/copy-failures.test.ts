import { describe, expect, it } from 'vitest';
import { CopyFailureLines } from '../../../extension-service/src/telemetry/copy-failures.js';
import { failure, job } from '../mirror/queue-world.js';

function lines() {
  const written: unknown[] = [];
  const clock = { now: 0 };
  const log = { warn: (fields: unknown, message: unknown) => void written.push([fields, message]) };
  return { written, clock, failures: new CopyFailureLines(log as never, () => clock.now) };
}

describe('copies that fail', () => {
  it.each(['unreachable', 'throttled', 'server'] as const)(
    'with %s, are one line a minute for the registry, which says how many it stands for',
    (reason) => {
      const { written, clock, failures } = lines();
      const { failure: failed } = failure(reason, true, { host: 'away.test' });
      for (let n = 0; n < 50; n += 1) failures.failed(job(`a${n}`), failed, 1);
      failures.failed(job('b'), { ...failed, host: 'other.test' }, 1);
      expect(written).toMatchObject([
        [{ host: 'away.test' }, failed.message],
        [{ host: 'other.test' }, failed.message],
      ]);
      clock.now = 60_000;
      failures.failed(job('a0'), failed, 2);
      expect(written[2]).toMatchObject([{ reason, host: 'away.test', attempt: 2, repeated: 49 }, failed.message]);
    },
  );

  it('for reasons of their own are one line a minute each', () => {
    const { written, failures } = lines();
    const { failure: absent } = failure('absent', false, { host: 'docker.io' });
    const { failure: conflict } = failure('conflict', false, { host: 'mirror.test' });
    for (const name of ['a', 'b', 'a', 'b']) failures.failed(job(name), absent, 1);
    failures.failed(job('a'), conflict, 1);
    expect(written).toMatchObject([
      [{ source: job('a').source, reason: 'absent' }, absent.message],
      [{ source: job('b').source, reason: 'absent' }, absent.message],
      [{ source: job('a').source, reason: 'conflict', event: 'tag-conflict' }, conflict.message],
    ]);
  });
});
