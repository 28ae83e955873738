import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { MultiBar } from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import type { Mirror } from '../core/decide/decide.js';
import { decideContainer } from '../core/decide/decide.js';
import { compileRules } from '../core/decide/rules.js';
import type { Rules } from '../core/decide/rules.js';
import type { CopyOutcome, CopyProgress, MirrorJob } from '../mirror/job.js';
import { MirrorQueue } from '../mirror/queue.js';
import type { MirrorResult } from '../mirror/queue.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import { mirrorJob } from '../server/admission.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { CliError, EXIT } from './exit.js';
import { bytes, render, table } from './output.js';
import type { OutputFormat } from './output.js';

export interface MirrorFlags extends ConfigFlags {
  readonly file?: string;
  readonly output: OutputFormat;
}

/** A row of the command's result. */
interface MirrorRow {
  readonly image: string;
  readonly reference?: string;
  readonly state: 'mirrored' | 'up-to-date' | 'kept' | 'would-mirror' | 'failed';
  readonly detail: string;
  readonly digest?: string;
  readonly platforms?: CopyOutcome['platforms'];
  readonly bytes?: CopyOutcome['bytes'];
}

/** Few tries and short pauses: a person waits. */
const RETRY = { base: 500, max: 5_000, attempts: 4, pause: 0 };

/** Copies images to the target that the configuration gives them. @returns 0, or 1 when any was not mirrored */
export async function mirror(context: CommandContext, images: readonly string[], flags: MirrorFlags): Promise<number> {
  const all = [...images, ...(flags.file === undefined ? [] : await readList(flags.file))];
  if (all.length === 0) throw new CliError(EXIT.usage, 'give at least one image, or a list with --file');
  const { config } = await load(context, flags);
  const rules = compileRules(config);
  const planned = [...new Set(all)].map((image) => plan(rules, image));

  let rows: MirrorRow[];
  if (config.dryRun) {
    rows = planned.map((entry) =>
      'row' in entry ? entry.row : { ...rowOf(entry), state: 'would-mirror', detail: '' },
    );
  } else {
    const progress = new Progress(context, planned.length);
    const copier = new RegistryCopier(
      config,
      registryOptions(context, (problem) => progress.log('warn', problem)),
    );
    const tracked = {
      copy: (job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void) =>
        copier.copy(job, signal, (copied) => {
          onProgress(copied);
          progress.update(job, copied);
        }),
    };
    const finals = new Map<string, (result: MirrorResult) => void>();
    const queue = new MirrorQueue(tracked, {
      concurrency: config.mirror.concurrency,
      retry: RETRY,
      events: {
        onDone: (job, result, _milliseconds, attempt) => {
          const last = result.ok || !result.failure.retryable || attempt >= RETRY.attempts;
          if (last) finals.get(job.key)?.(result);
          else progress.log('info', `${result.failure.message}; trying again`);
        },
      },
    });
    rows = await Promise.all(
      planned.map(async (entry): Promise<MirrorRow> => {
        if ('row' in entry) return entry.row;
        // Asked for by name: what a tag means now is wanted, whatever the target has.
        const job = { ...mirrorJob(entry.mirror), force: true };
        const final = new Promise<MirrorResult>((resolve) => finals.set(job.key, resolve));
        void queue.enqueue(job);
        const result = await final;
        progress.end(job);
        return finished(entry, result);
      }),
    );
    progress.stop();
    await copier.settled();
    copier.close();
  }
  context.stdout.write(render({ images: rows }, flags.output, () => summary(rows)));
  return rows.some(({ state }) => state === 'failed') ? EXIT.findings : EXIT.ok;
}

type Planned = { readonly image: string; readonly mirror: Mirror } | { readonly row: MirrorRow };

function plan(rules: Rules, image: string): Planned {
  const container = { list: 'containers' as const, index: 0, name: '', image, object: { image } };
  // Filters are about Pods, and here is none: an image that is asked for by name is copied.
  const decision = decideContainer({ ...rules, filters: [] }, {}, container);
  if (decision.action === 'mirror') return { image, mirror: decision };
  const state = decision.reason === 'in-target' ? 'kept' : 'failed';
  return { row: { image, state, detail: decision.detail } };
}

function rowOf({
  image,
  mirror: { reference },
}: {
  image: string;
  mirror: Mirror;
}): Omit<MirrorRow, 'state' | 'detail'> {
  return { image, reference: reference.text };
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

function summary(rows: readonly MirrorRow[]): string {
  const cells = rows.map(({ state, image, reference, digest, detail }) => [
    state,
    image,
    reference === undefined ? '' : `-> ${reference}`,
    digest?.slice(0, 19) ?? '',
    detail,
  ]);
  return table(cells);
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

/** Bars on a terminal, lines elsewhere; both on stderr. */
class Progress {
  private readonly bars: MultiBar | undefined;
  private readonly open = new Map<string, SingleBar>();

  constructor(
    private readonly context: CommandContext,
    private readonly count: number,
  ) {
    if (context.stderr.isTTY !== true) return;
    this.bars = new MultiBar({
      stream: context.stderr,
      format: '{bar} {percentage}% {sent} of {all}  {image}',
      hideCursor: true,
      clearOnComplete: true,
    });
  }

  update(job: MirrorJob, { transferred, total }: CopyProgress): void {
    if (this.bars === undefined) return;
    const payload = { image: job.source, sent: bytes(transferred), all: bytes(total) };
    const bar = this.open.get(job.key);
    if (bar === undefined) {
      this.open.set(job.key, this.bars.create(total, transferred, payload));
      return;
    }
    bar.setTotal(total);
    bar.update(transferred, payload);
  }

  end(job: MirrorJob): void {
    const bar = this.open.get(job.key);
    if (bar !== undefined) this.bars?.remove(bar);
    else if (this.count > 1) this.context.stderr.write(`${job.source}: finished\n`);
  }

  log(level: string, message: string): void {
    if (level === 'debug') return;
    if (this.bars === undefined) this.context.stderr.write(`${level}: ${message}\n`);
    else this.bars.log(`${level}: ${message}\n`);
  }

  stop(): void {
    this.bars?.stop();
  }
}
