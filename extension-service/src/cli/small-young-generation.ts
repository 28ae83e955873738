import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the heap's young generation at the size that it has once the program is loaded, 8 MiB. Copies produce much
 * garbage, which V8 would otherwise let grow by 30 MB before it collects it. The growth factor is the only such flag
 * that V8 reads after the process has started.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
