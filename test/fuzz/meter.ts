import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Returns the CPU time of this process so far in milliseconds. Other work of the machine does not count. */
export function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

/** Returns the bytes in use after a full garbage collection. */
export function heapInUse(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** The longest step and its name. */
export class StepMeter {
  longest = 0;
  longestInput = '';
  #last = cpuMilliseconds();

  /** Starts a new step. Call this before a step that must not be counted with the previous one. */
  start(): void {
    this.#last = cpuMilliseconds();
  }

  /** Ends a step. Call this after each step. */
  stop(input: string): void {
    const now = cpuMilliseconds();
    const spent = now - this.#last;
    this.#last = now;
    if (spent <= this.longest) return;
    this.longest = spent;
    this.longestInput = input.slice(0, 500);
  }
}
