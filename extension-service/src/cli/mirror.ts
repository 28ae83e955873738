import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import type { Config } from '../core/config/model.js';
import type { Mirror } from '../core/decide/decide.js';
import { compileRules } from '../core/decide/rules.js';
import type { CopyProgress, MirrorJob } from '../mirror/job.js';
import { MirrorQueue } from '../mirror/queue.js';
import type { MirrorResult } from '../mirror/queue.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import { mirrorJob } from '../server/admission.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { Progress } from './copy-progress.js';
import { CliError, EXIT } from './exit.js';
import { planMirror } from './mirror-plan.js';
import { planImage, rowOf, summary } from './mirror-rows.js';
import type { MirrorRow, Planned } from './mirror-rows.js';
import { bytes, render } from './output.js';
import type { OutputFormat } from './output.js';

export interface MirrorFlags extends ConfigFlags {
  readonly file?: string;
  readonly output: OutputFormat;
}

/** Few tries and short pauses: a person waits. */
const RETRY = { base: 500, max: 5_000, attempts: 4, pause: 0 };

/** Copies images to the target that the configuration gives them. @returns 0, or 1 when any was not mirrored */
export async function mirror(context: CommandContext, images: readonly string[], flags: MirrorFlags): Promise<number> {
  const all = [...images, ...(flags.file === undefined ? [] : await readList(flags.file))];
  if (all.length === 0) throw new CliError(EXIT.usage, 'give at least one image, or a list with --file');
  const { config } = await load(context, flags);
  const rules = compileRules(config);
  const planned = [...new Set(all)].map((image) => planImage(rules, image));

  const rows = await (config.dryRun
    ? planMirror(context, config, planned, flags)
    : mirrorNow(context, config, planned, flags));
  return rows.some(({ state }) => state === 'failed') ? EXIT.findings : EXIT.ok;
}

async function mirrorNow(
  context: CommandContext,
  config: Config,
  planned: readonly Planned[],
  { output }: MirrorFlags,
): Promise<readonly MirrorRow[]> {
  const progress = new Progress(context, planned.length);
  const copier = new RegistryCopier(
    config,
    registryOptions(context, config, (problem) => progress.log('warn', problem)),
  );
  const tracked = {
    copy: (job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void) =>
      copier.copy(job, signal, (copied) => {
        onProgress(copied);
        progress.update(job, copied);
      }),
  };
  const finals = new Map<string, { readonly result: Promise<MirrorResult>; end(result: MirrorResult): void }>();
  const queue = new MirrorQueue(tracked, {
    concurrency: config.mirror.concurrency,
    retry: RETRY,
    events: {
      onDone: (job, result, _milliseconds, attempt) => {
        const last = result.ok || !result.failure.retryable || attempt >= RETRY.attempts;
        if (last) finals.get(job.key)?.end(result);
        else progress.log('info', `${result.failure.message}; trying again`);
      },
    },
  });
  /** Two spellings of one image are one copy. */
  const copied = (job: MirrorJob): Promise<MirrorResult> => {
    let final = finals.get(job.key);
    if (final === undefined) {
      let end: (result: MirrorResult) => void = () => undefined;
      const result = new Promise<MirrorResult>((resolve) => (end = resolve));
      final = { result, end };
      finals.set(job.key, final);
      void queue.enqueue(job);
    }
    return final.result;
  };
  // The queue's waits for another try keep no process alive, which is right for a service only.
  const alive = setInterval(() => undefined, 60_000);
  const rows = await Promise.all(
    planned.map(async (entry): Promise<MirrorRow> => {
      if ('row' in entry) return entry.row;
      // Asked for by name: what a tag means now is wanted, whatever the target has.
      const job = { ...mirrorJob(entry.mirror), force: true };
      const result = await copied(job);
      progress.end(job);
      return finished(entry, result);
    }),
  ).finally(() => clearInterval(alive));
  progress.stop();
  await copier.settled();
  copier.close();
  context.stdout.write(render({ images: rows }, output, () => summary(rows)));
  return rows;
}

function finished(entry: { image: string; mirror: Mirror }, result: MirrorResult): MirrorRow {
  if (!result.ok) return { ...rowOf(entry), state: 'failed', detail: result.failure.message };
  const { digest, upToDate, platforms, bytes: count } = result.outcome;
  const sent = `${bytes(count.uploaded)} sent, ${bytes(count.mounted + count.skipped)} were there`;
  return {
    ...rowOf(entry),
    state: upToDate ? 'up-to-date' : 'mirrored',
    detail: upToDate ? 'the target has it' : sent,
    digest,
    platforms,
    bytes: count,
  };
}

async function readList(file: string): Promise<string[]> {
  let source: string;
  try {
    source = file === '-' ? await readStream(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `--file ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  return source
    .split('\n')
    .map((line) => line.replace(/#.*$/, '').trim())
    .filter((line) => line !== '');
}
