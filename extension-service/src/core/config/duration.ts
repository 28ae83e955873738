const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const partPattern = /(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y;

/** 24 days: Node's timers accept at most 2^31-1 milliseconds. */
export const longestDuration = 24 * 24 * 3_600_000;

/**
 * A duration in Go's format (time.ParseDuration): `8s`, `1m30s`, `200ms`, `1.5h`; without a sign.
 * @returns milliseconds, rounded; undefined if the text is not a duration
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  let total = 0;
  let end = 0;
  partPattern.lastIndex = 0;
  for (let part = partPattern.exec(text); part !== null; part = partPattern.exec(text)) {
    total += Number(part[1]) * (units[part[2] ?? ''] ?? NaN);
    end = partPattern.lastIndex;
  }
  if (end !== text.length || text === '') return undefined;
  return total > 0 && total < 1 ? 1 : Math.round(total);
}

/** The shortest text that {@link parseDuration} converts to the same milliseconds. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0s';
  const parts: string[] = [];
  let rest = milliseconds;
  for (const unit of ['h', 'm', 's', 'ms']) {
    const size = units[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  return parts.join('');
}
