import type { LeaderTask } from '../leader-task.js';
import type { LeaseLog } from './lease-log.js';

/** The tasks of one period of leading. */
export class RunningTasks {
  private readonly abort = new AbortController();
  private ended: Promise<void> | undefined;
  private open = false;

  constructor(
    private readonly tasks: readonly LeaderTask[],
    private readonly log: LeaseLog,
  ) {}

  /** @param onEnd called once all of them have ended */
  start(onEnd: () => void): void {
    this.open = true;
    this.ended = Promise.all(this.tasks.map((task) => this.lead(task))).then(() => {
      this.open = false;
      onEnd();
    });
  }

  get running(): boolean {
    return this.open;
  }

  /** Asks them to stop; they may take some time. */
  stop(): void {
    this.abort.abort();
  }

  async end(): Promise<void> {
    await this.ended;
  }

  private async lead(task: LeaderTask): Promise<void> {
    try {
      await task.lead(this.abort.signal);
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.log('error', `${task.name} failed and does not restart before the next election: ${reason}`);
    }
  }
}
