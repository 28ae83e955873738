/** Tells a problem that comes back at each look only when it is another one, and that it is over. */
export class ProblemLog {
  private reported: ReadonlySet<string> = new Set();

  constructor(private readonly log: (level: 'info' | 'warn', message: string) => void) {}

  /** @param problems all that there are now. @param fixed the message once all of them are fixed */
  update(problems: readonly string[], resolvedMessage: string): void {
    for (const problem of problems) if (!this.reported.has(problem)) this.log('warn', problem);
    if (problems.length === 0 && this.reported.size > 0) this.log('info', resolvedMessage);
    this.reported = new Set(problems);
  }
}
