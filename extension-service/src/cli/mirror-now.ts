import type { Config } from '../core/config/model.js';
import { mayBeCredentials } from '../registry/copy-failure.js';
import type { CopyOutcome, CopyProgress } from '../mirror/copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import { DEFAULT_COPY_LIMITS } from '../registry/copy-types.js';
import { copyLimits } from '../mirror/copy-limits.js';
import { MirrorQueue } from '../mirror/queue.js';
import type { MirrorResult } from '../mirror/status.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import type { CommandContext } from './context.js';
import { registryOptions } from './context.js';
import { whenDistant } from './distant-registries.js';
import { Progress } from './copy-progress.js';
import { attempts, refusedRow, rowOf, summary } from './mirror-rows.js';
import type { MirrorRow, Planned, PlannedCopy } from './mirror-rows.js';
import type { MirrorOutput } from './mirror-output.js';
import { bytes, render } from './output.js';

/** Few tries and short pauses, because a user is waiting. */
const RETRY = { base: 500, max: 5_000, attempts: 4, pause: 0, longestWait: 60_000 };

/**
 * Times as many images at once between distant registries. Most requests of an image carry no bytes of blobs, and take a
 * round trip each. The number of parallel blobs stays the same.
 */
const DISTANT_FACTOR = 3;

/** Copies each image once, with progress bars, and prints a row for each. */
export async function mirrorNow(
  context: CommandContext,
  config: Config,
  planned: readonly Planned[],
  { output, layout, complete }: MirrorOutput,
): Promise<readonly MirrorRow[]> {
  const progress = new Progress(context, planned.length);
  const copier = new RegistryCopier(config, {
    ...registryOptions(context, config, (problem) => progress.log('warn', problem)),
    ...(layout !== undefined && { layout }),
    ...(complete !== undefined && { earlier: { images: complete.images, interval: config.mirror.audit.interval } }),
    isOneRun: true,
    parallelBlobs: config.mirror.concurrency * DEFAULT_COPY_LIMITS.parallelBlobs,
    onRequest: whenDistant(() => queue.setLimits(copyLimits(withMoreImages(config)))),
  });
  const tracked = {
    copy: (job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void) =>
      copier.copy(job, signal, (copied) => {
        onProgress(copied);
        progress.update(job, copied);
      }),
  };
  const lasts = new Map<string, (result: MirrorResult) => void>();
  const queue = new MirrorQueue(tracked, {
    ...copyLimits(config),
    // Holds all requested copies.
    capacity: Number.POSITIVE_INFINITY,
    retry: RETRY,
    events: {
      onDone: (job, result, _milliseconds, _attempt, final) => {
        if (final) lasts.get(job.key)?.(result);
        else if (!result.ok) progress.log('info', `${result.failure.message}; retrying`);
      },
    },
  });
  const copy = (job: MirrorJob): Promise<MirrorResult> =>
    new Promise((resolve) => {
      lasts.set(job.key, resolve);
      void queue.enqueue(job);
    });
  const copyByAny = async (entry: PlannedCopy): Promise<MirrorResult> => {
    const [first = entry.job, ...others] = attempts(entry);
    let result = await copy(first);
    for (const job of others) {
      if (result.ok || !mayBeCredentials(result.failure)) break;
      result = await copy(job);
    }
    return result;
  };
  /** Two spellings of one image are one copy. */
  const results = new Map<string, Promise<MirrorResult>>();
  const copied = (entry: PlannedCopy): Promise<MirrorResult> => {
    const { key } = entry.job;
    const result = results.get(key) ?? copyByAny(entry);
    results.set(key, result);
    return result;
  };
  // The queue's retry timers do not keep the process alive, which is right only for a service.
  const alive = setInterval(() => undefined, 60_000);
  const rows = await Promise.all(
    planned.map(async (entry): Promise<MirrorRow> => {
      if ('row' in entry) return entry.row;
      const result = await copied(entry);
      progress.end(entry.job, result.ok);
      return finished(entry, result);
    }),
  ).finally(() => clearInterval(alive));
  progress.stop();
  await Promise.all([copier.settled(), complete?.save(copier.completeImages())]);
  copier.close();
  context.stdout.write(render({ images: rows }, output, () => summary(rows)));
  return rows;
}

/** The limits of one registry stay, if the configuration sets them. */
function withMoreImages(config: Config): Config {
  const { mirror } = config;
  return { ...config, mirror: { ...mirror, concurrency: mirror.concurrency * DISTANT_FACTOR } };
}

function finished(entry: PlannedCopy, result: MirrorResult): MirrorRow {
  if (!result.ok) return refusedRow(entry, result.failure);
  const { digest, upToDate, platforms, bytes: count, repaired, unfinished } = result.outcome;
  const there = count.mounted + count.skipped;
  const sent = [
    count.uploaded === 0 ? 'only the manifest sent' : `${bytes(count.uploaded)} sent`,
    ...(there === 0 ? [] : [`${bytes(there)} already there`]),
  ].join(', ');
  return {
    ...rowOf(entry),
    state: upToDate ? 'up-to-date' : 'mirrored',
    detail: [upToDate ? 'already in the target' : sent, ...details(result.outcome)].join('; '),
    digest,
    ...(platforms.length > 0 && { platforms }),
    bytes: count,
    ...(repaired !== undefined && { repaired }),
    ...(unfinished !== undefined && { unfinished: unfinished.map(({ what }) => what) }),
  };
}

function details({ repaired, unfinished }: CopyOutcome): string[] {
  return [
    ...(repaired === undefined ? [] : [`repaired: ${repaired.join(', ')}`]),
    ...(unfinished === undefined
      ? []
      : [`not copied yet (run again with --audit): ${unfinished.map(({ what }) => what).join(', ')}`]),
  ];
}
