/** Microseconds per round: the best of five, after a warm-up round, because other processes only ever add time. */
export function measure(rounds: number, work: () => void): number {
  const times = Array.from({ length: 6 }, () => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < rounds; i++) {
      work();
    }
    return Number(process.hrtime.bigint() - start) / 1000 / rounds;
  });
  return Math.min(...times.slice(1));
}
