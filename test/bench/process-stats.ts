import { readFileSync } from 'node:fs';

export interface ProcessStats {
  /** User and system time, seconds. */
  readonly cpu: number;
  /** Resident memory now and at its highest, MiB. */
  readonly rss: number;
  readonly peakRss: number;
}

const TICKS_PER_SECOND = 100;

/** What Linux says of a process; undefined when it has ended. */
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

/** Makes VmHWM start again from the memory in use now. */
export async function resetPeak(pid: number): Promise<void> {
  const { writeFile } = await import('node:fs/promises');
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** Looks at a process until it ends; its last figures are its whole life's, within one look. */
export function watchProcess(pid: number, interval = 10): { stop(): ProcessStats } {
  let last: ProcessStats = { cpu: 0, rss: 0, peakRss: 0 };
  const look = (): void => {
    const now = processStats(pid);
    // A process that has ended and was not waited for yet has times, and no memory any more.
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
