import { appendFileSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';

/**
 * With the variable, appends a line `SECONDS FILE` for each test file: the CPU time of the worker and of the programs
 * that the file started and that have ended. CI's summary shows where its minutes go. Linux only.
 */
const log = process.env['IMAGE_SWAPPER_CPU_LOG'];

/** Clock ticks per second in /proc, the same on all Linux machines. */
const TICKS = 100;

if (log !== undefined && process.platform === 'linux') {
  let before = 0;
  beforeAll(() => {
    before = cpuSeconds();
  });
  afterAll(() => {
    appendFileSync(log, `${(cpuSeconds() - before).toFixed(1)} ${expect.getState().testPath ?? ''}\n`);
  });
}

/** The fields utime, stime, cutime and cstime of proc_pid_stat(5), which follow the name in parentheses. */
function cpuSeconds(): number {
  const [, fields = ''] = readFileSync('/proc/self/stat', 'utf8').split(') ');
  const ticks = fields.split(' ').slice(11, 15).map(Number);
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS;
}
