import { MultiBar } from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import type { CopyProgress } from '../mirror/copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CommandContext } from './context.js';
import { bytes } from './output.js';

/** Bars on a terminal, lines elsewhere; both on stderr. */
export class Progress {
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
