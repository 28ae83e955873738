import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** CPU of this process so far, milliseconds: the machine's other work does not count. */
export function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are in use after a full garbage collection. */
export function heapInUse(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** The longest step, and what it was. */
export class StepMeter {
  longest = 0;
  longestInput = '';
  #last = cpuMilliseconds();

  /** Call before a step that is not to be counted with the one before. */
  start(): void {
    this.#last = cpuMilliseconds();
  }

  /** Call after each step. */
  stop(input: string): void {
    const now = cpuMilliseconds();
    const spent = now - this.#last;
    this.#last = now;
    if (spent <= this.longest) return;
    this.longest = spent;
    this.longestInput = input.slice(0, 500);
  }
}
