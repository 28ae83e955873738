/** Logs the problems of periodic checks only when they change, and a message when all are resolved. */
export class ProblemLog {
  private reported: ReadonlySet<string> = new Set();

  constructor(private readonly log: (level: 'info' | 'warn', message: string) => void) {}

  /** @param problems all current problems @param fixed the message once all of them are resolved */
  update(problems: readonly string[], resolvedMessage: string): void {
    for (const problem of problems) if (!this.reported.has(problem)) this.log('warn', problem);
    if (problems.length === 0 && this.reported.size > 0) this.log('info', resolvedMessage);
    this.reported = new Set(problems);
  }
}
