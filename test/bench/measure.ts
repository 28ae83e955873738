/** Microseconds a round: the best of five, after one to warm up, because other processes only ever add. */
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
