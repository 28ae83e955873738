import { readFileSync } from 'node:fs';

export interface ProcessStats {
  /** User and system CPU time, seconds. */
  readonly cpu: number;
  /** Current and peak resident memory, MiB. */
  readonly rss: number;
  readonly peakRss: number;
}

const TICKS_PER_SECOND = 100;

/** Returns Linux's statistics of a process, or undefined when it has ended. */
export function processStats(pid: number): ProcessStats | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const mebibytes = (key: string): number => Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
    return {
      cpu: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      rss: mebibytes('VmRSS'),
      peakRss: mebibytes('VmHWM'),
    };
  } catch {
    return undefined;
  }
}

/** Resets VmHWM to the current memory. */
export async function resetPeak(pid: number): Promise<void> {
  const { writeFile } = await import('node:fs/promises');
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** Samples a process until it ends. The last sample covers the whole life of the process except the last interval. */
export function watchProcess(pid: number, interval = 10): { stop(): ProcessStats } {
  let last: ProcessStats = { cpu: 0, rss: 0, peakRss: 0 };
  const look = (): void => {
    const now = processStats(pid);
    // A process that has ended but has not been reaped still has times, but no memory.
    if (now !== undefined) last = now.rss === 0 ? { ...last, cpu: now.cpu } : now;
  };
  look();
  const timer = setInterval(look, interval);
  return {
    stop() {
      look();
      clearInterval(timer);
      return last;
    },
  };
}
