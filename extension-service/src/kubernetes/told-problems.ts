/** Tells a problem that comes back at each look only when it is another one, and that it is over. */
export class ToldProblems {
  private told: ReadonlySet<string> = new Set();

  constructor(private readonly log: (level: 'info' | 'warn', message: string) => void) {}

  /** @param problems all that there are now. @param fixed the message once all of them are fixed */
  saw(problems: readonly string[], mended: string): void {
    for (const problem of problems) if (!this.told.has(problem)) this.log('warn', problem);
    if (problems.length === 0 && this.told.size > 0) this.log('info', mended);
    this.told = new Set(problems);
  }
}
