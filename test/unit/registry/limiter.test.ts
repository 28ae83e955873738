import { describe, expect, it } from 'vitest';
import { Limiter } from '../../../extension-service/src/registry/limiter.js';

describe('a limiter', () => {
  it('runs tasks in order of arrival, and leaves out those that are aborted while they wait', async () => {
    const limiter = new Limiter(1);
    const order: string[] = [];
    let end = (): void => undefined;
    const first = limiter.run(() => new Promise<void>((resolve) => (end = resolve)));
    const abort = new AbortController();
    const aborted = limiter.run(async () => order.push('aborted'), abort.signal);
    const second = limiter.run(async () => order.push('second'));
    const third = limiter.run(async () => order.push('third'), new AbortController().signal);
    const reason = new Error('the copy has failed');
    abort.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    end();
    await Promise.all([first, second, third]);
    expect(order).toEqual(['second', 'third']);
    await expect(limiter.run(async () => 'free')).resolves.toBe('free');
  });

  it('starts nothing for a signal that has aborted', async () => {
    const reason = new Error('the copy has failed');
    await expect(new Limiter(1).run(async () => 'run', AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('gives the place of a task that fails to the next one', async () => {
    const limiter = new Limiter(1);
    const failing = limiter.run(() => Promise.reject(new Error('failed')));
    const next = limiter.run(async () => 'next');
    await expect(failing).rejects.toThrow('failed');
    await expect(next).resolves.toBe('next');
  });
});
