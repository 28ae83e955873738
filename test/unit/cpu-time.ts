/** Milliseconds of CPU time that the work takes. Unlike a clock, it does not count the time of other processes. */
export function cpuTimeOf(work: () => unknown): number {
  const begin = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1_000;
}
