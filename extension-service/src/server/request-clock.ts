import type { Config } from '../core/config/model.js';

/** The two time limits of a request, each started on first use, for the whole request and not per container. */
export class RequestClock {
  private readonly started: number;
  private readonly timers: NodeJS.Timeout[] = [];
  private budgetEnd: Promise<void> | undefined;
  private deadlineEnd: Promise<void> | undefined;

  constructor(
    private readonly config: Pick<Config, 'answerBudget' | 'imageCopyDeadline'>,
    private readonly now: () => number,
  ) {
    this.started = now();
  }

  budget(): Promise<void> {
    return (this.budgetEnd ??= this.after(this.remainingBudget()));
  }

  deadline(): Promise<void> {
    return (this.deadlineEnd ??= this.after(this.leftOfDeadline()));
  }

  /** Remaining milliseconds; 0 if it is over. */
  remainingBudget(): number {
    return this.left(this.config.answerBudget);
  }

  /** Remaining milliseconds; 0 if it is over. */
  leftOfDeadline(): number {
    return this.left(this.config.imageCopyDeadline);
  }

  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }

  private left(milliseconds: number): number {
    return Math.max(0, milliseconds - (this.now() - this.started));
  }

  private after(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.timers.push(setTimeout(resolve, milliseconds)));
  }
}
