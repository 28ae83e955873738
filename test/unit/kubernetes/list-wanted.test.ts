import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { ApiStatusError } from '../../../extension-service/src/kubernetes/watch/cluster-lists.js';
import type { ListPage } from '../../../extension-service/src/kubernetes/watch/cluster-lists.js';
import { listWanted } from '../../../extension-service/src/kubernetes/workloads/list-wanted.js';
import { smallPod } from '../../fakes/cluster/pods.js';
import { configOf, rulesOf } from '../decide/rules-of.js';

type Answer = ListPage | ApiStatusError;

const page = (names: readonly string[], next?: string): ListPage => ({
  items: names.map((name) => smallPod(name, `docker.io/library/${name}:1`) as unknown as JsonObject),
  resourceVersion: '1',
  ...(next !== undefined && { next }),
});
const status = (code: number, retryAfter?: number): ApiStatusError =>
  new ApiStatusError(code, `status ${code}`, retryAfter === undefined ? {} : { retryAfter });

/** Lists Pods with one of these answers for each request. The cluster does not contain other objects. */
async function list(
  ...answers: Answer[]
): Promise<{ images: string[]; asked: (string | undefined)[]; waits: number[] }> {
  const config = configOf();
  const asked: (string | undefined)[] = [];
  const waits: number[] = [];
  const { wanted } = await listWanted({
    lists: {
      page: (path, query) => {
        if (path !== '/api/v1/pods') return Promise.resolve(page([]));
        asked.push(query['continue']);
        const answer = answers.shift() ?? new Error('was not to be asked for more');
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    },
    ...{ config, rules: rulesOf(), ownNamespace: undefined },
    signal: new AbortController().signal,
    onRetry: (_, milliseconds) => waits.push(milliseconds),
    pause: [1, 20],
  });
  return { images: [...wanted.all()].map(([, { job }]) => job.source).sort(), asked, waits };
}

const image = (name: string): string => `docker.io/library/${name}:1`;

describe('the workloads of a busy cluster', () => {
  it.each([
    ['429', status(429)],
    ['503', status(503)],
    ['no answer', status(0)],
  ])('continue from the page that failed with %s', async (_, failure) => {
    const { images, asked } = await list(page(['a'], 'two'), failure, failure, page(['b']));
    expect(images).toEqual([image('a'), image('b')]);
    expect(asked).toEqual([undefined, 'two', 'two', 'two']);
  });

  it('are requested no sooner than the server allows', async () => {
    const { waits } = await list(status(429, 20), page(['a']));
    expect(waits).toEqual([20]);
  });

  it('are read again when the server has discarded the list between two pages, without deleted workloads', async () => {
    const { images, asked } = await list(page(['gone', 'a'], 'two'), status(410), page(['a'], 'three'), page(['b']));
    expect(images).toEqual([image('a'), image('b')]);
    expect(asked).toEqual([undefined, 'two', undefined, 'three']);
  });

  it.each([401, 403, 404])('are abandoned at once after a permanent error: %i', async (code) => {
    await expect(list(status(code))).rejects.toThrow(`status ${code}`);
  });

  it('are abandoned if retries do not help', async () => {
    await expect(list(...Array.from({ length: 8 }, () => status(503)))).rejects.toThrow('status 503');
  });

  it('are abandoned if the server discards every list before its end', async () => {
    const forgotten = Array.from({ length: 5 }, () => [page(['a'], 'two'), status(410)]);
    await expect(list(...forgotten.flat())).rejects.toThrow('status 410');
  });
});
