import { describe, expect, it } from 'vitest';
import type { CopyReport } from '../../../extension-service/src/kubernetes/copy-report.js';
import {
  NOT_LOOKED_UP,
  VanishedSources,
  afterLookup,
  lookupOf,
} from '../../../extension-service/src/kubernetes/workloads/vanished-sources.js';
import type { SourceLookup } from '../../../extension-service/src/kubernetes/workloads/vanished-sources.js';
import type { CopyFailure } from '../../../extension-service/src/registry/copy-failure.js';
import { job } from '../mirror/queue-world.js';

const MINUTE = 60_000;

/** Source lookups, each with its time in minutes. */
type History = readonly (readonly [number, SourceLookup])[];

describe('a source that was mirrored', () => {
  it.each<readonly [string, History, boolean]>([
    [
      'has vanished after three looks over an hour',
      [
        [1, 'gone'],
        [31, 'gone'],
        [61, 'gone'],
      ],
      true,
    ],
    [
      'has not after two looks, however far apart',
      [
        [1, 'gone'],
        [600, 'gone'],
      ],
      false,
    ],
    [
      'has not vanished after many checks within an hour',
      [
        [1, 'gone'],
        [2, 'gone'],
        [30, 'gone'],
        [60, 'gone'],
      ],
      false,
    ],
    [
      'has not after tries with several pull secrets at a time',
      [
        [1, 'gone'],
        [61, 'gone'],
        [61.2, 'gone'],
      ],
      false,
    ],
    [
      'has vanished an hour after the clock was set back',
      [
        [120, 'gone'],
        [150, 'gone'],
        [1, 'gone'],
        [31, 'gone'],
        [61, 'gone'],
      ],
      true,
    ],
    [
      'has not when it was there in between',
      [
        [1, 'gone'],
        [31, 'gone'],
        [40, 'seen'],
        [61, 'gone'],
      ],
      false,
    ],
    [
      'has in spite of failures that say nothing',
      [
        [1, 'gone'],
        [31, 'gone'],
        [40, 'unknown'],
        [61, 'gone'],
      ],
      true,
    ],
    [
      'has in spite of looks into the target alone',
      [
        [1, 'gone'],
        [31, 'gone'],
        [40, 'mirrored'],
        [61, 'gone'],
      ],
      true,
    ],
    [
      'is back when it is seen again',
      [
        [1, 'gone'],
        [31, 'gone'],
        [61, 'gone'],
        [90, 'seen'],
      ],
      false,
    ],
    [
      'begins again when the clock is set back',
      [
        [100, 'gone'],
        [131, 'gone'],
        [20, 'gone'],
        [80, 'gone'],
      ],
      false,
    ],
  ])('%s', (_, history, expected) => {
    const start = afterLookup(NOT_LOOKED_UP, 'mirrored', 0);
    const end = history.reduce((state, [minute, look]) => afterLookup(state, look, minute * MINUTE), start);
    expect(end.hasVanished).toBe(expected);
  });

  it('has not vanished when it never existed', () => {
    const looks = [0, 60, 120, 180].map((minute) => minute * MINUTE);
    expect(looks.reduce((state, at) => afterLookup(state, 'gone', at), NOT_LOOKED_UP).hasVanished).toBe(false);
  });
});

function failed(failure: Partial<CopyFailure>, force = true): CopyReport {
  const whole = { reason: 'absent' as const, message: 'x', retryable: false, host: 'docker.io', ...failure };
  return { job: job('nginx', { force }), result: { ok: false, failure: whole } };
}
function done(upToDate: boolean, force: boolean): CopyReport {
  return { job: job('nginx', { force }), result: { ok: true, upToDate, digest: 'sha256:a' } };
}

describe('the evidence of a report', () => {
  it.each<readonly [string, CopyReport, SourceLookup]>([
    ['a copy', done(false, false), 'seen'],
    ['a comparison that found nothing new', done(true, true), 'seen'],
    ['a look into the target', done(true, false), 'mirrored'],
    ['404 of the source', failed({}), 'gone'],
    ['401 of the source', failed({ reason: 'unauthorized' }), 'gone'],
    ['403 of the source', failed({ reason: 'forbidden' }), 'gone'],
    ['403 of the target', failed({ reason: 'forbidden', host: 'mirror.test' }), 'unknown'],
    ['no answer of the source', failed({ reason: 'unreachable' }), 'unknown'],
    ['too many requests at the source', failed({ reason: 'throttled' }), 'unknown'],
    ['a gate of the target', { ...failed({ reason: 'gated' }) }, 'unknown'],
  ])('%s', (_, report, expected) => {
    expect(lookupOf(report)).toBe(expected);
  });
});

describe('the vanished sources', () => {
  it('are counted per target, reported once, and forgotten when nothing uses them', () => {
    let now = 0;
    const sources = new VanishedSources(() => now);
    const news = [done(false, false), failed({}), failed({}), failed({}), failed({})].map((report) => {
      const { isNew } = sources.recordCopy(report);
      now += 31 * MINUTE;
      return isNew;
    });
    expect(news).toEqual([false, false, false, true, false]);
    expect(sources.counts()).toEqual({ default: 1 });
    expect(sources.recordCopy(done(true, true))).toMatchObject({ isNew: true, hasVanished: false });
    expect(sources.counts()).toEqual({});
    [0, 31, 62].forEach((minute) => {
      now = 1_000 * MINUTE + minute * MINUTE;
      sources.recordCopy(failed({}));
    });
    expect(sources.counts()).toEqual({ default: 1 });
    sources.keep(() => false);
    expect(sources.counts()).toEqual({});
  });
});
