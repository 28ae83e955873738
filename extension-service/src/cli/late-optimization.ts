import { setFlagsFromString } from 'node:v8';

/** V8's default is 67,584 (Node 20). */
const INTERRUPT_BUDGET_BYTES = 400_000;

/**
 * Lets V8 optimize functions six times later. A command is over in seconds, and machine code for it costs more CPU time
 * and memory than it saves; a command that copies thousands of images still gets it. V8 has this flag up to Node 20.
 */
export function optimizeLate(): void {
  if (process.versions.node.startsWith('20.')) setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET_BYTES}`);
}
