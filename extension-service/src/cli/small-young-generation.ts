import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the heap's young generation at its first size. Copies make much garbage that V8 would otherwise let grow by 30 MB
 * before it collects it. The growth factor is the only such flag that V8 reads after the start of the process.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
