import { setPriority } from 'node:os';

/** The nice value of the background worker: with it, the main thread gets nine tenths of a core that both want. */
const NICE = 10;

/**
 * Lets the main thread go first, which answers admissions while this one copies. On Linux, the call changes only the
 * calling thread. Elsewhere it would change the whole process.
 */
export function lowerThreadPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, NICE);
  } catch {
    // A sandbox may forbid it. Both threads then share the cores as equals.
  }
}
