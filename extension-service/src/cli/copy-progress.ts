import { MultiBar } from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import type { CopyProgress } from '../mirror/copier.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CommandContext } from './context.js';
import { bytes } from './output.js';

/** They end the process while the bars hide the cursor. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Progress bars on a terminal, lines elsewhere; both on stderr. */
export class Progress {
  private readonly bars: MultiBar | undefined;
  private readonly onSignal: ((signal: NodeJS.Signals) => void) | undefined;
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
    this.onSignal = (signal) => {
      this.stop();
      this.context.stderr.write('stopped: unfinished images are not in the target\n');
      // Repeats the signal with its default action, so that the shell sees which signal ended the process.
      process.kill(process.pid, signal);
    };
    for (const signal of SIGNALS) process.once(signal, this.onSignal);
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

  end(job: MirrorJob, isMirrored: boolean): void {
    const bar = this.open.get(job.key);
    if (bar !== undefined) this.bars?.remove(bar);
    else if (this.count > 1) this.context.stderr.write(`${job.source}: ${isMirrored ? 'finished' : 'failed'}\n`);
  }

  log(level: string, message: string): void {
    if (level === 'debug') return;
    if (this.bars === undefined) this.context.stderr.write(`${level}: ${message}\n`);
    else this.bars.log(`${level}: ${message}\n`);
  }

  /** Restores the cursor. */
  stop(): void {
    if (this.onSignal !== undefined) for (const signal of SIGNALS) process.removeListener(signal, this.onSignal);
    this.bars?.stop();
  }
}
